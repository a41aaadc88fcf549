"""Processes that share a metrics directory: a scrape shows the sum of their counts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from instafeed.celery import app as celery_app
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

COUNT = """
import os, sys
from multiprocessing import get_context
from instafeed.core.observability import metrics

metrics.DELIVERIES.inc(1)
def work(number):
    metrics.DELIVERIES.inc(10)
    metrics.TASKS_ENDED.labels("x", "success").inc()
processes = [get_context("fork").Process(target=work, args=[number]) for number in range(3)]
for process in processes: process.start()
for process in processes: process.join()
from django.conf import settings
settings.configure()
from instafeed.core.monitoring import exporter
print(exporter.render_exposition().decode())
"""


def test_counts_of_processes_that_share_the_directory_are_summed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        cwd=PROJECT_ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "new" / "one"), "PATH": "", "REDIS_URL": ""},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert "instafeed_deliveries_total 31.0" in done.stdout, done.stderr
    assert 'instafeed_tasks_total{outcome="success",task="x"} 3.0' in done.stdout


def program(*arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "instafeed.settings", "HTTPS_ONLY": "false", **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def read(url: str) -> str:
    """Return the body, also of an error; an empty text while no server listens on the port."""
    try:
        return httpx.get(url, trust_env=False, timeout=30).text
    except httpx.TransportError:
        return ""


@pytest.mark.usefixtures("redis_broker")
def test_sum_over_all_targets_counts_everything_once(tmp_path: Path) -> None:
    """Web server, streams and a worker share one directory, and Prometheus reads all three."""
    web, stream, worker = (free_port() for _ in range(3))
    urls = [f"http://127.0.0.1:{port}/metrics" for port in (web, stream, worker)]
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "METRICS_TOKEN": ""}
    celery = ("celery", "-A", "instafeed", "worker", "--concurrency=2")

    def total(series: str) -> float:
        lines = [line for url in urls for line in read(url).splitlines() if line.startswith(series)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    with ExitStack() as running:
        for process in (
            program(  # with one process: a second one may start late and create the directory again
                "gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi", PORT=str(web), WEB_WORKERS="1", **shared
            ),
            program("instafeed.asgi", PORT=str(stream), **shared),
            program(*celery, "--queues=media", METRICS_PORT=str(worker), **shared),
            program(*celery, "--queues=bulk", "--hostname=bulk@%h", **shared),  # the web server reports its counts
        ):
            running.callback(process.wait)
            running.callback(process.terminate)
        for url in urls:
            eventually(partial(read, url))
        for _ in range(3):
            assert "not_authenticated" in read(f"http://127.0.0.1:{web}/api/v1/feed")
            assert "not_authenticated" in read(f"http://127.0.0.1:{stream}/api/v1/stream")
        for queue in ("media", "bulk"):
            # The tasks fail, because this database has no tables; they are counted all the same.
            celery_app.send_task("media.tasks.remove_files", queue=queue)
        requests = 'instafeed_request_seconds_count{method="GET",route="/api/v1/%s",status="4xx"}'
        eventually(lambda: total('instafeed_task_seconds_count{task="media.tasks.remove_files"}') == 2)
        assert (total(requests % "feed"), total(requests % "stream")) == (3, 3)
        assert {read(url).count("remove_files") > 0 for url in (urls[0], urls[2])} == {True}
        shutil.rmtree(tmp_path)
        assert [read(url) for url in urls] == [
            f"the metrics files in {tmp_path} were deleted; restart this program\n"
        ] * 3
