"""An invalid setting stops every program with status 1 and one line that names the variable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import settings_reference
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.preloaded_process import PreloadedProcess, preloaded_process

pytestmark = pytest.mark.timeout(300)  # starts many programs, perhaps beside other tests

PROGRAMS = {
    "manage.py": ("manage.py", "check"),
    "gunicorn": ("-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application"),
    "worker": ("-m", "celery", "-q", "-A", "instafeed", "worker"),
    "beat": ("-m", "celery", "-q", "-A", "instafeed", "beat", "--pidfile=", "--schedule=/dev/null/never"),
}
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "instafeed.settings",
    "DATABASE_URL": "postgresql://instafeed:secret@127.0.0.1:1/instafeed",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


def start(*arguments: str, **changed: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **changed},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_refused(process: subprocess.Popen[str], name: str) -> None:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert err.startswith(f"instafeed: {name} "), err
    assert len(err.splitlines()) == 1, err
    assert out == ""


@pytest.fixture(scope="module")
def fresh() -> Iterator[PreloadedProcess]:
    """A process that forks for each run with other settings."""
    with preloaded_process({"PATH": os.environ["PATH"], **PRODUCTION}) as program:
        yield program


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("manage.py", "DATABASE_URL", "mysql://x"),
        ("gunicorn", "SECRET_KEY", ""),
        ("worker", "FAN_OUT_BATCH_SIZE", "-5"),
        ("beat", "CELEBRITY_THRESHOLD", "many"),
    ],
)
def test_every_program_refuses_an_invalid_setting(program: str, name: str, value: str) -> None:
    assert_refused(start(*PROGRAMS[program], **{name: value}), name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CELEBRITY_THRESHOLD", "many"),
        ("DATABASE_URL", "mysql://x"),
        ("FAN_OUT_BATCH_SIZE", "-5"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "a" * 60),
        ("SECRET_KEY", f"django-insecure-{'0123456789' * 5}"),
        ("ALLOWED_HOSTS", "https://example.org"),
        ("ALLOWED_HOSTS", "example.org:8000"),
        ("DATABASE_URL", "postgresql://host:99999/x"),
        ("DATABASE_URL", "postgresql://host/"),
        ("DATABASE_URL", ""),
        ("DATABASE_REPLICA_URLS", "postgresql://host/x,mysql://y"),
        ("REDIS_URL", "http://x"),
        ("CELERY_BROKER_URL", "redis://x/db"),
        ("NUM_PROXIES", "-1"),
        ("DEBUG", "maybe"),
        ("FEED_LENGTH", "0"),
        ("FEED_TTL", "1.5"),
        ("MIGRATION_LOCK_TIMEOUT", "0"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("PUBLIC_URL", "https://example.org/feed"),
        ("THROTTLE_LOGIN", "30"),
        ("MEDIA_MAX_BYTES", "1GB"),
        ("AWS_S3_ENDPOINT_URL", "http://minio:9000"),  # without a bucket
    ],
)
def test_invalid_values_are_refused(fresh: PreloadedProcess, name: str, value: str) -> None:
    done = fresh.run("from django.conf import settings; settings.DEBUG", {**PRODUCTION, name: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"instafeed: {name} "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_valid_settings_load_without_output(fresh: PreloadedProcess) -> None:
    done = fresh.run("from django.conf import settings; print(settings.DEBUG)", PRODUCTION)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "0"), ("WEB_WORKERS", "x"), ("WEB_THREADS", "0"), ("LOG_LEVEL", "LOUD")]
)
def test_gunicorn_refuses_its_own_invalid_settings(name: str, value: str) -> None:
    assert_refused(start(*PROGRAMS["gunicorn"], **{name: value}), name)


def test_check_passes_with_valid_settings() -> None:
    process = start(*PROGRAMS["manage.py"])
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "no issues" in out


# --- The reference ------------------------------------------------------------------------------------------------


def start_reference() -> subprocess.Popen[str]:
    return start("-m", "deploy.settings_reference", CELEBRITY_THRESHOLD="7", DEBUG="true")


def test_the_reference_is_up_to_date_in_any_environment() -> None:
    out, err = start_reference().communicate(timeout=120)
    assert err == ""
    assert out == (PROJECT_ROOT / "docs" / "configuration.md").read_text()


def test_the_reference_lists_every_variable_in_the_code() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", (PROJECT_ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE))
    sources = [
        path
        for folder in ("instafeed", "accounts", "social", "media", "posts", "feeds", "deploy")
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py"))
    ]
    read = {
        name
        for path in sources
        for name in re.findall(r'(?:os\.environ(?:\.get\(|\[)|env\.\w+\(\s*)"([A-Z][A-Z0-9_]+)"', path.read_text())
    }
    assert len(read) > 50
    assert read - listed == {"PATH"}  # not a setting


def test_differences_between_example_and_code_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = tmp_path / ".env.example"
    right = (PROJECT_ROOT / ".env.example").read_text()
    wrong = right.replace("\nFEED_LENGTH=500", "\nFEED_LENGTH=501").replace("\nFEED_TTL=604800", "\nFEED_LIFE=604800")
    example.write_text(wrong)
    (tmp_path / "docker-compose.yml").write_text((PROJECT_ROOT / "docker-compose.yml").read_text())
    monkeypatch.setattr(settings_reference, "ROOT", tmp_path)
    read = {
        "FEED_LENGTH": settings_reference.env.Variable("FEED_LENGTH", "", "500"),
        "FEED_TTL": settings_reference.env.Variable("FEED_TTL", "", "604800"),
    }
    said = "\n".join(settings_reference.disagreements(read, list(settings_reference.example_entries())))
    assert "FEED_LENGTH: is '501' in .env.example, but its default is '500'" in said
    assert "FEED_LIFE: is in .env.example, but not read" in said
    assert "FEED_TTL: is read, but not in .env.example" in said
