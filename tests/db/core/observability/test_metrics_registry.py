"""The metrics registry: its documentation, and a scrape during the start of another process."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from celery import shared_task
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject, Retry
from django.test import Client
from prometheus_client import Counter, Gauge, Histogram

from instafeed.celery import app
from instafeed.core.observability import metrics
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.metric_values import MetricChange, scrape_metrics

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]


def test_operations_page_lists_every_metric_with_its_labels() -> None:
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(instafeed_\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE)
    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    counted = {}
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert name in documented
            counted[name] = (family.type, labels_of(metric, documented[name][1]))
    assert len(counted) == len(list(metrics.REGISTRY.collect()))
    asked = {name: ("gauge", asked.labels) for name, asked in metrics.SCRAPED_GAUGES.items()}
    assert documented == counted | asked


def labels_of(metric: Counter | Gauge | Histogram, expected: tuple[str, ...]) -> tuple[str, ...]:
    """Return a metric's labels in their order. Raises ValueError if it needs others than `expected`."""
    if expected:
        metric.labels(**dict.fromkeys(expected, "x"))  # a metric without series shows no labels
    (family,) = metric.collect()
    assert family.samples, f"{family.name} has labels"
    if expected:
        metric.remove(*["x"] * len(expected))
    return tuple(label for label in family.samples[0].labels if label != "le")


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
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| `instafeed_tasks_total`"))
    assert set(re.findall(r"`(\w+)`", row.split("|")[4])) == set(metrics.TASK_OUTCOMES)
    outcomes = {
        sample.labels["outcome"]
        for metric in metrics.REGISTRY.collect()
        if metric.name == "instafeed_tasks"
        for sample in metric.samples
    }
    assert outcomes <= set(metrics.TASK_OUTCOMES)


def test_empty_file_of_a_new_process_does_not_fail_the_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr(metrics, "MULTIPROCESS_DIR", str(tmp_path))
    for pid in (1, os.getpid()):
        (tmp_path / f"counter_{pid}.db").touch()
    assert scrape_metrics(client)["instafeed_up", "primary"] == 1
