"""Programs stop within docker-compose.yml's grace period when a deployment asks them to.

Running work is finished or handed back to the queue.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually
from tests.system.core import slow_tasks

pytestmark = pytest.mark.timeout(300)  # starts many programs, possibly next to other tests

GRACE = 15  # seconds: stop_grace_period
WORKER = ("celery", "-q", "-A", "tests.system.core.slow_tasks", "worker", "-Q", slow_tasks.QUEUE, "--concurrency", "1")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@contextmanager
def running(log: Path, *command: str, **extra_environment: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "instafeed.settings",
        "LOG_LEVEL": "INFO",
        **extra_environment,
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=PROJECT_ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stop(process: subprocess.Popen[bytes], log: Path, signum: signal.Signals) -> float:
    """Send the signal and return the seconds until the process ended. Fails on a traceback in the log."""
    started = time.monotonic()
    process.send_signal(signum)
    process.wait(GRACE)
    assert "Traceback" not in log.read_text(), log.read_text()
    return time.monotonic() - started


def start_task(broker: redis.Redis, seconds: float) -> None:
    slow_tasks.slow_task.apply_async([seconds], queue=slow_tasks.QUEUE)
    eventually(lambda: broker.get("slow:started") == b"1")


@pytest.mark.parametrize("signum", [signal.SIGQUIT, signal.SIGTERM])
def test_worker_finishes_a_short_task(redis_broker: redis.Redis, tmp_path: Path, signum: signal.Signals) -> None:
    with running(log := tmp_path / "worker.log", *WORKER, *QUIET) as worker:
        start_task(redis_broker, 2)
        stop(worker, log, signum)
    assert redis_broker.get("slow:finished") == b"1"
    assert redis_broker.llen(slow_tasks.QUEUE) == 0, "the task ran once"
    assert not redis_broker.exists("unacked")


def test_worker_requeues_a_long_task(redis_broker: redis.Redis, tmp_path: Path) -> None:
    with running(log := tmp_path / "worker.log", *WORKER, *QUIET) as worker:
        start_task(redis_broker, 60)
        stop(worker, log, signal.SIGQUIT)
    assert redis_broker.get("slow:finished") is None
    assert redis_broker.llen(slow_tasks.QUEUE) == 1, "the task is back in the queue"
    assert not redis_broker.exists("unacked")


def test_idle_worker_stops_at_once(redis_broker: redis.Redis, tmp_path: Path) -> None:
    with running(log := tmp_path / "worker.log", *WORKER, *QUIET) as worker:
        start_task(redis_broker, 0)
        eventually(lambda: redis_broker.get("slow:finished") == b"1")
        time.sleep(0.5)
        assert stop(worker, log, signal.SIGQUIT) < 5


def test_gunicorn_finishes_running_requests(redis_broker: redis.Redis, tmp_path: Path) -> None:
    port = free_port()
    command = ("gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application")
    environment = {"PORT": str(port), "WEB_WORKERS": "1", "HTTPS_ONLY": "false", "THROTTLE_LOGIN": "off"}
    body = b'{"username": "ada"}'
    fields = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST /api/v1/auth/token HTTP/1.1\r\n{fields}\r\n\r\n"
    with running(log := tmp_path / "web.log", *command, **environment) as web:
        eventually(lambda: is_ready(port))
        with socket.create_connection(("127.0.0.1", port), timeout=GRACE) as client:
            client.sendall(head.encode() + body[:5])
            time.sleep(1)  # until a thread waits for the rest of the body
            web.send_signal(signal.SIGTERM)
            time.sleep(1)
            client.sendall(body[5:])
            response = client.recv(65_536)
        assert response.startswith(b"HTTP/1.1 400 "), response
        assert web.wait(GRACE) == 0
    assert "Traceback" not in log.read_text(), log.read_text()


def is_ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
