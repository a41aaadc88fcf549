"""Run management commands and other programs in an environment without the test session's own variables."""

from __future__ import annotations

import os
import subprocess
import sys

from instafeed.devstack.state import PROJECT_ROOT

# The URLs of the session's services and the settings of the tests.
_CLEARED_PREFIXES = (
    "DATABASE",
    "REDIS",
    "CELERY",
    "SECRET_KEY",
    "MEDIA_ROOT",
    "INSTAFEED",
    "THROTTLE",
    "DJANGO",
    "PYTEST",
)


def clean_environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED_PREFIXES)} | more


def manage(
    *arguments: str, environment: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT_ROOT,
        env=clean_environment(**environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def manage_output(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run a management command and return what it prints. Fail with all its output unless its status is 0."""
    result = manage(*arguments, environment=environment)
    assert result.returncode == 0, f"manage.py {' '.join(arguments)}\n{result.stdout}{result.stderr}"
    return result.stdout
