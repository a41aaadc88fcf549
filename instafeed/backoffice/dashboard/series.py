"""Samples of the last day or week as evenly spaced points, few enough to draw.

A missing sample leaves a gap. A history that is shorter than the span starts at its first sample, with points as close
together as samples allow: minutes after the installation, the charts show lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from instafeed.backoffice.charts import Points
from instafeed.backoffice.dashboard.panels import METRIC_NAMES, PANELS
from instafeed.backoffice.models import Sample

SAMPLES_PER_HOUR = 60
SAMPLE_MAX_AGE = timedelta(minutes=3)  # an older newest sample means that sampling has stopped
MAX_POINTS = 300
STEPS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=40))  # between two points


@dataclass(frozen=True, slots=True)
class Span:
    label: str
    length: timedelta


SPANS = {"day": Span("24 hours", timedelta(hours=24)), "week": Span("7 days", timedelta(days=7))}


@dataclass(frozen=True, slots=True)
class Series:
    """Points (oldest first) and the latest value of each metric, by name. `newest` is None without any sample."""

    length: timedelta  # from the first sample to now
    step: timedelta  # between two points
    points: Mapping[str, Points]
    latest: Mapping[str, float | None]
    newest: datetime | None

    @property
    def max_gap(self) -> int:
        """The points that may be missing in a row: as many minutes as a sample may be late."""
        return (SAMPLE_MAX_AGE - timedelta(minutes=1)) // self.step


_RATE_METRICS = {line.metric for panel in PANELS if panel.is_rate for line in panel.lines}


def _series_sql() -> str:
    """Return the query for one span: the mean per hour of rates, the maximum of all others, so that peaks show."""
    columns = ", ".join(f"{name} float8" for name in METRIC_NAMES)
    aggregates = ", ".join(
        f"{SAMPLES_PER_HOUR} * avg({name})" if name in _RATE_METRICS else f"max({name})" for name in METRIC_NAMES
    )
    # One jsonb_to_record per sample is three times as fast as one operator per metric.
    return f"""
        SELECT floor((extract(epoch FROM at) - %s) / %s)::int AS point, {aggregates}
        FROM {Sample._meta.db_table}, jsonb_to_record(metrics) AS numbers({columns})
        WHERE at >= %s GROUP BY point
    """  # noqa: S608 (all names are constants)


_FIRST_SQL = f"SELECT min(at) FROM {Sample._meta.db_table} WHERE at >= %s"  # noqa: S608
_SERIES_SQL = _series_sql()


def read_series(span: Span) -> Series:
    """Read all metrics of the span from the primary, with three queries."""
    now = timezone.now()
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_FIRST_SQL, [now - span.length])
        oldest = cursor.fetchone()[0] or now - span.length
        step = next(step for step in STEPS if now - oldest <= (MAX_POINTS - 2) * step)
        seconds = step.total_seconds()
        # Points are at multiples of the step, so that they do not change from one minute to the next. There are at
        # least two, whose distance is the width of the chart.
        last = now.timestamp() // seconds
        count = max(2, int(last - oldest.timestamp() // seconds) + 1)
        first = (last - count + 1) * seconds
        points: dict[str, list[float | None]] = {name: [None] * count for name in METRIC_NAMES}
        cursor.execute(_SERIES_SQL, [first, seconds, datetime.fromtimestamp(first, UTC)])
        for point, *values in cursor.fetchall():
            if point < count:
                for name, value in zip(METRIC_NAMES, values, strict=True):
                    points[name][point] = value
    return Series(now - oldest, step, points, *_latest_values())


def _latest_values() -> tuple[dict[str, float | None], datetime | None]:
    """Return each metric's latest value (rates: over the last hour) and the time of the newest sample.

    All values are None if the newest sample is older than `SAMPLE_MAX_AGE`.
    """
    samples = list(Sample.objects.using(DEFAULT_DB_ALIAS).order_by("-at")[:SAMPLES_PER_HOUR])
    if not samples:
        return dict.fromkeys(METRIC_NAMES), None
    newest = samples[0]
    if newest.at < timezone.now() - SAMPLE_MAX_AGE:
        return dict.fromkeys(METRIC_NAMES), newest.at
    last_hour = [sample for sample in samples if sample.at > newest.at - timedelta(hours=1)]
    latest = {name: newest.metrics.get(name) for name in METRIC_NAMES}
    for name in _RATE_METRICS:
        values = [value for sample in last_hour if (value := sample.metrics.get(name)) is not None]
        latest[name] = SAMPLES_PER_HOUR * sum(values) / len(values) if values else None
    return latest, newest.at
