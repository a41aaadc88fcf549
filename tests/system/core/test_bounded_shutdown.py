"""A worker quits on SIGQUIT even if a process of its pool hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from instafeed.devstack.child_process import has_ended
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

# As `celery -A instafeed worker`, with shorter timeouts.
_WORKER = """
from instafeed.core.jobs import bounded_shutdown
from instafeed.celery import app
bounded_shutdown.FORCED_EXIT_DELAY = 1
app.conf.worker_soft_shutdown_timeout = 1
app.worker_main(["-q", "worker", "--concurrency", "1", "--queues", "media", "--without-gossip", "--without-mingle"])
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def worker(output: Path) -> Iterator[psutil.Popen]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "instafeed.settings", "LOG_LEVEL": "INFO"}
    with output.open("wb") as log:
        command = [sys.executable, "-c", _WORKER]
        process = psutil.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: " ready" in output.read_text() and len(process.children()) == 1)
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            for remaining in [*process.children(), process]:
                remaining.kill()
        process.wait()


def test_worker_exits_although_a_pool_process_hangs(worker: psutil.Popen, output: Path) -> None:
    (child,) = worker.children()
    child.suspend()
    worker.send_signal(signal.SIGQUIT)
    assert worker.wait(120) == 1
    assert "killed" in output.read_text()
    eventually(lambda: has_ended(child))


def test_healthy_worker_exits_without_being_killed(worker: psutil.Popen, output: Path) -> None:
    worker.send_signal(signal.SIGQUIT)
    worker.wait(120)
    assert "killed" not in output.read_text()
    assert "Traceback" not in output.read_text()
