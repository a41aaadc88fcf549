"""A Celery worker with METRICS_PORT serves the counts of its pool."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

WORKER = ("-m", "celery", "-q", "-A", "instafeed", "worker", "--concurrency", "2", "-Q", "media")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "instafeed.settings", "HTTPS_ONLY": "false", **more}


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT_ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_worker_requires_a_free_metrics_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(*WORKER, METRICS_PORT=port, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith(f"instafeed: METRICS_PORT 127.0.0.1:{port} cannot be used")]


@contextmanager
def worker(**more: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *WORKER],
        cwd=PROJECT_ROOT,
        env=environment(**more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("redis_broker")
def test_a_worker_serves_the_metrics_of_its_pool(tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/metrics"
    # The tasks fail, because this database has no tables; they are counted all the same.
    count = 'instafeed_task_seconds_count{task="media.tasks.remove_files"}'
    send = (
        "from instafeed.celery import app\n"
        "for _ in range(20): app.send_task('media.tasks.remove_files', queue='media')\n"
    )
    with worker(METRICS_PORT=str(port), PROMETHEUS_MULTIPROC_DIR=str(tmp_path), METRICS_TOKEN="test-token"):
        assert run("-c", f"import django; django.setup()\n{send}").returncode == 0
        eventually(lambda: f"{count} 20.0" in fetch(address, "test-token"))
        for url, token in ((address, "wrong"), (address, ""), (f"{address}/x", "test-token")):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                request(url, token)


def request(url: str, token: str) -> str:
    authorized = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(authorized, timeout=60) as response:
        return str(response.read().decode())


def fetch(url: str, token: str) -> str:
    """Return the body; an empty text while no server listens on the port yet."""
    try:
        return request(url, token)
    except urllib.error.HTTPError:
        raise
    except OSError:
        return ""
