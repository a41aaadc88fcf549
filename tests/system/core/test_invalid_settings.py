"""Every program ends with status 1 and one line for an invalid setting. tests/unit/core lists more wrong values."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from instafeed.devstack.state import PROJECT_ROOT

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


def run(program: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *PROGRAMS[program]],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **changed},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("manage.py", "DATABASE_URL", "mysql://x"),
        ("gunicorn", "PORT", "0"),  # read by gunicorn's configuration
        ("gunicorn", "SECRET_KEY", ""),  # read by Django
        ("worker", "FAN_OUT_BATCH_SIZE", "-5"),
        ("beat", "CELEBRITY_THRESHOLD", "many"),
    ],
)
def test_every_program_refuses_an_invalid_setting(program: str, name: str, value: str) -> None:
    done = run(program, **{name: value})
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith(f"instafeed: {name} "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_check_passes_with_valid_settings() -> None:
    done = run("manage.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout
