"""Read metrics in tests: those of this process, and those on /metrics."""

from __future__ import annotations

from typing import Any

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from instafeed.core.observability import metrics


class MetricChange:
    """The increase of a series since this object was created."""

    def __init__(self, series: str, **labels: str) -> None:
        self._series, self._labels = series, labels
        self._before = self._now()

    def _now(self) -> float:
        return metrics.REGISTRY.get_sample_value(self._series, self._labels) or 0.0

    @property
    def by(self) -> float:
        return self._now() - self._before


def scrape_metrics(client: Client, **options: Any) -> dict[tuple[str, ...], float]:
    """Return the values on /metrics by (name, *label values)."""
    answer = client.get("/metrics", **options)
    assert answer.status_code == 200
    families = list(text_string_to_metric_families(answer.content.decode()))
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
