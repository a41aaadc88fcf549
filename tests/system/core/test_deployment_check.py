"""The settings of a production site pass Django's deployment check without a warning."""

from __future__ import annotations

import os
import subprocess
import sys

from instafeed.devstack.state import PROJECT_ROOT


def test_production_settings_pass_the_deployment_check() -> None:
    """With the required settings only."""
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "DATABASE_URL": "postgresql://instafeed:x@127.0.0.1:1/instafeed",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/1",
        "ALLOWED_HOSTS": "example.org",
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    checked = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stderr
    assert "no issues (2 silenced)" in checked.stdout + checked.stderr, "see SILENCED_SYSTEM_CHECKS"
