"""Samples of the last day or week as evenly spaced points, few enough to draw. Where there is no sample, there is a
gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from instafeed.backoffice.dashboard.panels import METRIC_NAMES, PANELS
from instafeed.core.models import Sample

SAMPLES_PER_HOUR = 60  # samples
SAMPLE_MAX_AGE = timedelta(minutes=3)  # without a sample: nobody takes any

Points = list[float | None]


@dataclass(frozen=True, slots=True)
class Span:
    label: str
    length: timedelta
    step: timedelta  # between two points; the length holds at most 300


SPANS = {
    "day": Span("24 hours", timedelta(hours=24), timedelta(minutes=5)),
    "week": Span("7 days", timedelta(days=7), timedelta(minutes=40)),
}


@dataclass(frozen=True, slots=True)
class Series:
    """By name of the number: its points, oldest first, and its value now. `newest` is None without any sample."""

    points: Mapping[str, Points]
    now: Mapping[str, float | None]
    newest: datetime | None


_RATE_METRICS = {line.name for figure in PANELS if figure.is_rate for line in figure.lines}


def _series_sql() -> str:
    """Of rates the mean, by the hour; of all else the worst, which a mean would hide."""
    columns = ", ".join(f"{name} float8" for name in METRIC_NAMES)
    drawn = ", ".join(
        f"{SAMPLES_PER_HOUR} * avg({name})" if name in _RATE_METRICS else f"max({name})" for name in METRIC_NAMES
    )
    # One jsonb_to_record reads all numbers of a sample at once: three times as fast as an operator for each.
    return f"""
        SELECT floor((extract(epoch FROM at) - %s) / %s)::int AS point, {drawn}
        FROM core_sample, jsonb_to_record(figures) AS numbers({columns})
        WHERE at >= %s GROUP BY point
    """  # noqa: S608 (names of ours)


_SERIES_SQL = _series_sql()


def read_series(span: Span) -> Series:
    """Two queries, whatever there is."""
    step = span.step.total_seconds()
    count = int(span.length / span.step)
    # At multiples of the step, so that points do not change from one minute to the next.
    first = (timezone.now().timestamp() // step - count + 1) * step
    points: dict[str, Points] = {name: [None] * count for name in METRIC_NAMES}
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_SERIES_SQL, [first, step, datetime.fromtimestamp(first, UTC)])
        for point, *values in cursor.fetchall():
            if point < count:
                for name, value in zip(METRIC_NAMES, values, strict=True):
                    points[name][point] = value
    return Series(points, *_latest_values())


def _latest_values() -> tuple[dict[str, float | None], datetime | None]:
    """The newest sample, with rates over its hour; nothing where that is too old to speak of now."""
    hour = list(Sample.objects.using(DEFAULT_DB_ALIAS).order_by("-at")[:SAMPLES_PER_HOUR])
    if not hour:
        return dict.fromkeys(METRIC_NAMES), None
    newest = hour[0]
    if newest.at < timezone.now() - SAMPLE_MAX_AGE:
        return dict.fromkeys(METRIC_NAMES), newest.at
    within = [sample for sample in hour if sample.at > newest.at - timedelta(hours=1)]
    now = {name: newest.figures.get(name) for name in METRIC_NAMES}
    for name in _RATE_METRICS:
        seen = [value for sample in within if (value := sample.figures.get(name)) is not None]
        now[name] = SAMPLES_PER_HOUR * sum(seen) / len(seen) if seen else None
    return now, newest.at
