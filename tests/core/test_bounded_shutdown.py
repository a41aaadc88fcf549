"""A worker that is told to end at once ends, though a process of its pool never answers again."""

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

from instafeed.devstack.state import PROJECT_ROOT
from tests.eventually import eventually

# As `celery -A instafeed worker`, with shorter times.
_WORKER = """
from instafeed import endings
from instafeed.celery import app
endings.AFTERWARDS = 1
app.conf.worker_soft_shutdown_timeout = 1
app.worker_main(["-q", "worker", "--concurrency", "1", "--queues", "media", "--without-gossip", "--without-mingle"])
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def worker(output: Path) -> Iterator[psutil.Popen]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "instafeed.settings", "LOG_LEVEL": "INFO"}
    with output.open("wb") as said:
        command = [sys.executable, "-c", _WORKER]
        process = psutil.Popen(command, cwd=PROJECT_ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: " ready" in output.read_text() and len(process.children()) == 1)
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            for left in [*process.children(), process]:
                left.kill()
        process.wait()


def test_a_pool_process_that_hangs_does_not_keep_its_worker(worker: psutil.Popen, output: Path) -> None:
    (child,) = worker.children()
    child.suspend()
    worker.send_signal(signal.SIGQUIT)
    assert worker.wait(20) == 1
    assert "killed" in output.read_text()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()


def test_a_worker_that_can_end_does_so_by_itself(worker: psutil.Popen, output: Path) -> None:
    worker.send_signal(signal.SIGQUIT)
    worker.wait(20)
    assert "killed" not in output.read_text()
    assert "Traceback" not in output.read_text()
