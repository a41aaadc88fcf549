"""The dashboard's panels: the metric names that a sample stores, and what each value measures."""

from __future__ import annotations

from dataclasses import dataclass

from instafeed.backoffice.quantities import BYTES, COUNT, SECONDS, Quantity


@dataclass(frozen=True, slots=True)
class PanelLine:
    metric: str  # a key of Sample.metrics
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. With `is_rate`, samples hold counts per minute and the chart shows them per hour."""

    title: str
    lines: tuple[PanelLine, ...]
    quantity: Quantity
    unit: str = ""  # shown after the title
    is_rate: bool = False


def jobs_metric(kind: str) -> str:
    """Return the metric's name for the number of due jobs of a kind."""
    return f"jobs_{kind}"


_JOB_LINES = tuple(
    PanelLine(jobs_metric(kind), label)
    for kind, label in (
        ("processingjob", "pictures"),
        ("relocation", "file moves"),
        ("filedeletion", "file deletions"),
        ("erasure", "erasures"),
        ("outgoingmail", "mails"),
        ("outgoingpush", "push messages"),
        ("requestacceptance", "follow requests"),
    )
)
_FAN_OUT_LINES = (PanelLine("fan_outs_open", "open"), PanelLine("fan_outs_dead", "dead letters"))
_LAG_LINES = (PanelLine("lag_p50", "median"), PanelLine("lag_p99", "99th percentile"))
_MEMORY_LINES = (PanelLine("memory_cache", "cache"), PanelLine("memory_broker", "broker"))

PANELS = (
    Panel("Waiting jobs", _JOB_LINES, COUNT),
    Panel("Fan-out lag", _LAG_LINES, SECONDS),
    Panel("Fan-outs", _FAN_OUT_LINES, COUNT),
    Panel("Warm feeds", (PanelLine("feeds_warm", "estimate"),), COUNT),
    Panel("Replica lag", (PanelLine("replica_lag", "slowest replica"),), SECONDS),
    Panel("Redis memory", _MEMORY_LINES, BYTES),
    Panel("Posts", (PanelLine("posts", "new"),), COUNT, "per hour", is_rate=True),
    Panel("Reports", (PanelLine("reports", "new"),), COUNT, "per hour", is_rate=True),
)
METRIC_NAMES = tuple(line.metric for panel in PANELS for line in panel.lines)
