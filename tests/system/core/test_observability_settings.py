"""Settings for logs, metrics and Sentry: an invalid one stops the start with one line that names it."""

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
from tests.support.preloaded_process import PreloadedProcess, preloaded_process

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
        timeout=60,
    )


@pytest.fixture(scope="module")
def fresh() -> Iterator[PreloadedProcess]:
    """A process that forks for each run with other settings."""
    with preloaded_process(environment()) as program:
        yield program


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METRICS_PORT", "http"),
        ("METRICS_PORT", "65536"),
        ("METRICS_PORT", "-1"),
        ("LOG_FORMAT", "xml"),
        ("LOG_REQUESTS", "some"),
        ("LOG_LEVEL", "LOUD"),
        ("SENTRY_TRACES_SAMPLE_RATE", "1.5"),
        ("SENTRY_TRACES_SAMPLE_RATE", "-0.1"),
        ("SENTRY_TRACES_SAMPLE_RATE", "nan"),
        ("SENTRY_DSN", "https://nowhere"),
        ("PROMETHEUS_MULTIPROC_DIR", "/dev/null/metrics"),
    ],
)
def test_an_invalid_value_stops_the_start_with_one_line(fresh: PreloadedProcess, name: str, value: str) -> None:
    code = "from django.conf import settings; settings.DEBUG; import instafeed.core.observability.metrics"
    done = fresh.run(code, environment(**{name: value}))
    assert done.returncode == 1
    assert done.stderr.startswith(f"instafeed: {name} ")
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("value", ["0", "1", "0.25", ".5", "1.0"])
def test_a_fraction_is_a_number_from_0_to_1(fresh: PreloadedProcess, value: str) -> None:
    show = "from django.conf import settings; print(settings.SENTRY_TRACES_SAMPLE_RATE)"
    assert float(fresh.run(show, environment(SENTRY_TRACES_SAMPLE_RATE=value)).stdout) == float(value)


def test_a_worker_requires_a_free_metrics_port_and_the_multiprocess_directory(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        lines = run(*WORKER, METRICS_PORT=port, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)).stderr.splitlines()
        assert [line for line in lines if line.startswith(f"instafeed: METRICS_PORT 127.0.0.1:{port} cannot be used")]
        lines = run(*WORKER, METRICS_PORT=port).stderr.splitlines()
    assert [line for line in lines if line.startswith("instafeed: METRICS_PORT needs PROMETHEUS_MULTIPROC_DIR")]


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
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(authorized, timeout=5) as response:
        return str(response.read().decode())


def fetch(url: str, token: str) -> str:
    """Return the body; an empty text while no server listens on the port yet."""
    try:
        return request(url, token)
    except urllib.error.HTTPError:
        raise
    except OSError:
        return ""
