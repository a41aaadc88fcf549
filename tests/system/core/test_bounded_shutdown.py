"""A worker quits on SIGQUIT even if a process of its pool hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from instafeed.devstack.child_process import has_ended
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

# As `celery -A instafeed worker`, with other timeouts.
_WORKER = """
import os
from instafeed.core.jobs import bounded_shutdown
from instafeed.celery import app
bounded_shutdown.FORCED_EXIT_DELAY = float(os.environ["FORCED_EXIT_DELAY"])
app.conf.worker_soft_shutdown_timeout = 1
app.worker_main(["-q", "worker", "--concurrency", "1", "--queues", "media", "--without-gossip", "--without-mingle"])
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@contextmanager
def started_worker(output: Path, *, forced_exit_delay: int) -> Iterator[psutil.Popen]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "instafeed.settings", "LOG_LEVEL": "INFO"}
    environment["FORCED_EXIT_DELAY"] = str(forced_exit_delay)
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


def test_worker_exits_although_a_pool_process_hangs(output: Path) -> None:
    with started_worker(output, forced_exit_delay=1) as worker:
        (child,) = worker.children()
        child.suspend()
        worker.send_signal(signal.SIGQUIT)
        assert worker.wait(120) == 1
        assert "killed" in output.read_text()
        eventually(lambda: has_ended(child))


def test_healthy_worker_exits_without_being_killed(output: Path) -> None:
    """However slow the machine is, it quits by itself."""
    with started_worker(output, forced_exit_delay=100) as worker:
        worker.send_signal(signal.SIGQUIT)
        worker.wait(120)
    assert "killed" not in output.read_text()
    assert "Traceback" not in output.read_text()
