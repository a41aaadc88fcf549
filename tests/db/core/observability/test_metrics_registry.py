"""The metrics registry: its documentation, and its values over several processes."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from celery import shared_task
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject, Retry
from django.test import Client

from instafeed.celery import app
from instafeed.core.observability import metrics
from tests.support.metric_values import MetricChange, scrape_metrics

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]
ROOT = Path(__file__).resolve().parents[4]


def test_operations_page_lists_every_metric_with_its_labels() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(instafeed_\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE)
    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    counted = {
        f"{metric._name}{'_total' if metric._type == 'counter' else ''}": (metric._type, tuple(metric._labelnames))
        for metric in metrics.REGISTRY._collector_to_names
    }
    asked = {name: ("gauge", asked.labels) for name, asked in metrics.SCRAPED_GAUGES.items()}
    assert documented == counted | asked


@pytest.mark.parametrize(
    ("error", "outcome"), [(Ignore(), "ignored"), (Reject(), "rejected"), (SystemExit(), "ignored"), (Retry(), "retry")]
)
def test_every_task_outcome_is_documented(error: BaseException, outcome: str) -> None:
    @shared_task(name=f"tests.{type(error).__name__}")
    def ending() -> None:
        raise error

    change = MetricChange("instafeed_tasks_total", task=f"tests.{type(error).__name__}", outcome=outcome)
    with suppress(SystemExit, Reject):
        build_tracer(ending.name, ending, app=app)("task-1", [], {}, {"id": "task-1"})
    assert change.by == 1


def test_operations_page_lists_the_task_outcomes() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| `instafeed_tasks_total`"))
    assert set(re.findall(r"`(\w+)`", row.split("|")[4])) == set(metrics.TASK_OUTCOMES)
    outcomes = {
        sample.labels["outcome"]
        for metric in metrics.REGISTRY.collect()
        if metric.name == "instafeed_tasks"
        for sample in metric.samples
    }
    assert outcomes <= set(metrics.TASK_OUTCOMES)


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
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "new" / "one"), "PATH": "", "REDIS_URL": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "instafeed_deliveries_total 31.0" in done.stdout, done.stderr
    assert 'instafeed_tasks_total{outcome="success",task="x"} 3.0' in done.stdout


def test_empty_file_of_a_new_process_does_not_fail_the_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr(metrics, "MULTIPROCESS_DIR", str(tmp_path))
    (tmp_path / "counter_1.db").touch()
    assert scrape_metrics(client)["instafeed_up", "primary"] == 1
