"""Processes that share a metrics directory: a scrape shows the sum of their counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from instafeed.devstack.state import PROJECT_ROOT

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
        timeout=60,
    )
    assert "instafeed_deliveries_total 31.0" in done.stdout, done.stderr
    assert 'instafeed_tasks_total{outcome="success",task="x"} 3.0' in done.stdout
