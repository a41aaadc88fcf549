"""From start to stop, every server writes nothing but JSON, one object a line, to both of its outputs.

The commands are those of docs/deployment.md, without the option that keeps Celery quiet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

CELERY = ("celery", "-A", "instafeed")
WORKER = (*CELERY, "worker", "--queues", "media", "--concurrency", "1")
WEB = ("gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application")


@pytest.mark.usefixtures("redis_broker")
@pytest.mark.parametrize(
    ("command", "is_ready", "stop"),
    [
        (WEB, "Booting worker", signal.SIGTERM),
        (("instafeed.asgi",), "startup complete", signal.SIGTERM),
        (WORKER, " ready.", signal.SIGTERM),
        (WORKER, " ready.", signal.SIGINT),
        (WORKER, " ready.", signal.SIGQUIT),
        ((*CELERY, "beat", "--pidfile="), "beat started", signal.SIGTERM),
    ],
    ids=["web", "stream", "worker", "interrupted-worker", "stopped-worker", "beat"],
)
def test_every_line_is_json(command: tuple[str, ...], is_ready: str, stop: signal.Signals, tmp_path: Path) -> None:
    if "beat" in command:
        command = (*command, "--schedule", str(tmp_path / "schedule"))
    output = tmp_path / "output"
    settings = {
        "DJANGO_SETTINGS_MODULE": "instafeed.settings",
        "HTTPS_ONLY": "false",
        "SERVE_FILES": "false",  # a mistake, which the server logs
        "LOG_LEVEL": "INFO",
        "PORT": str(free_port()),
        "WEB_WORKERS": "2",
    }
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=PROJECT_ROOT,
            env={**os.environ, **settings},
            stdout=file,
            stderr=file,
        )
    try:
        eventually(lambda: is_ready in output.read_text() or process.poll() is not None)
        process.send_signal(stop)
        process.wait(120)
    finally:
        process.kill()
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert any(is_ready in line["event"] for line in lines)
    assert any("AWS_STORAGE_BUCKET_NAME is not set" in line["event"] for line in lines)
