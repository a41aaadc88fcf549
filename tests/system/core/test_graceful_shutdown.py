"""Programs stop when a deployment asks them to. Running work is finished or handed back to the queue.

`tests/deploy/test_compose.py` compares the time that they allow themselves with docker-compose.yml's grace period.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually
from tests.system.core import slow_tasks

WORKER = ("celery", "-q", "-A", "tests.system.core.slow_tasks", "worker", "-Q", slow_tasks.QUEUE, "--concurrency", "1")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
SOFT_SHUTDOWN = "Initiating Soft Shutdown"  # Celery waits for running tasks


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


def start_task(broker: redis.Redis) -> None:
    slow_tasks.slow_task.apply_async(queue=slow_tasks.QUEUE)
    eventually(lambda: broker.get("slow:started") == b"1")


def release_task(broker: redis.Redis) -> None:
    broker.rpush(slow_tasks.RELEASE, 1)


def assert_ends(process: subprocess.Popen[bytes], log: Path) -> None:
    process.wait(100)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.parametrize(("signum", "stopping"), [(signal.SIGQUIT, SOFT_SHUTDOWN), (signal.SIGTERM, "Warm shutdown")])
def test_worker_finishes_a_task_that_ends_in_time(
    redis_broker: redis.Redis, tmp_path: Path, signum: signal.Signals, stopping: str
) -> None:
    # A soft shutdown always takes this long. A busy machine may stop the worker for some of it.
    with running(log := tmp_path / "worker.log", *WORKER, *QUIET, SOFT_SHUTDOWN_TIMEOUT="20") as worker:
        start_task(redis_broker)
        worker.send_signal(signum)
        eventually(lambda: stopping in log.read_text())
        release_task(redis_broker)
        assert_ends(worker, log)
    assert redis_broker.get("slow:finished") == b"1"
    assert redis_broker.llen(slow_tasks.QUEUE) == 0, "the task ran once"
    assert not redis_broker.exists("unacked")


@pytest.mark.parametrize(
    ("signum", "environment"),
    [(signal.SIGQUIT, {}), (signal.SIGTERM, {"REMAP_SIGTERM": "SIGQUIT"})],
    ids=["compose", "kubernetes"],
)
def test_worker_requeues_a_long_task(
    redis_broker: redis.Redis, tmp_path: Path, signum: signal.Signals, environment: dict[str, str]
) -> None:
    with running(log := tmp_path / "worker.log", *WORKER, *QUIET, **environment) as worker:
        start_task(redis_broker)
        worker.send_signal(signum)
        assert_ends(worker, log)
    assert redis_broker.get("slow:finished") is None
    assert redis_broker.llen(slow_tasks.QUEUE) == 1, "the task is back in the queue"
    assert not redis_broker.exists("unacked")


def test_idle_worker_stops_without_waiting(redis_broker: redis.Redis, tmp_path: Path) -> None:
    with running(log := tmp_path / "worker.log", *WORKER, *QUIET) as worker:
        start_task(redis_broker)
        release_task(redis_broker)
        eventually(lambda: redis_broker.get("slow:finished") == b"1" and not redis_broker.exists("unacked"))
        worker.send_signal(signal.SIGQUIT)
        assert_ends(worker, log)
    assert SOFT_SHUTDOWN not in log.read_text()


def test_gunicorn_finishes_running_requests(redis_broker: redis.Redis, tmp_path: Path) -> None:
    port = free_port()
    metrics = tmp_path / "metrics"
    command = ("gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application")
    environment = {"PORT": str(port), "WEB_WORKERS": "1", "HTTPS_ONLY": "false", "THROTTLE_LOGIN": "off"}
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    body = b'{"username": "ada"}'
    fields = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST /api/v1/auth/token HTTP/1.1\r\n{fields}\r\n\r\n"
    with running(log := tmp_path / "web.log", *command, **environment) as web:
        eventually(lambda: is_listening(port))
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(head.encode() + body[:5])
            eventually(lambda: "instafeed_requests_in_progress 2.0" in scrape(port))  # this one and the scrape
            web.send_signal(signal.SIGTERM)
            eventually(lambda: not is_listening(port))
            client.sendall(body[5:])
            response = client.recv(65_536)
        assert response.startswith(b"HTTP/1.1 400 "), response
        assert web.wait(100) == 0
    assert "Traceback" not in log.read_text(), log.read_text()


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def scrape(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text
