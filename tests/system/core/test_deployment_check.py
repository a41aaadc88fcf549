"""The settings of a production site pass Django's deployment check without a warning."""

from __future__ import annotations

import os
import re
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
        "AWS_STORAGE_BUCKET_NAME": "media",
        "AWS_S3_REGION_NAME": "eu-central-1",
        "PROMETHEUS_MULTIPROC_DIR": "/nowhere",  # the command creates none
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    checked = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stderr
    assert "2 silenced" in checked.stdout + checked.stderr, "see SILENCED_SYSTEM_CHECKS"
    assert re.findall(r"^\?: \(\S+\) (.*): ConnectionError$", checked.stdout + checked.stderr, re.MULTILINE) == [
        "The broker was not asked for its memory limit",
        "The cache was not asked for its memory limit",
    ], "nothing listens on port 1"
