"""The dashboard's panels: the metric names that a sample stores, and how each value is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class PanelLine:
    metric: str  # a key of Sample.metrics
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. With `is_rate`, samples hold counts per minute and the chart shows them per hour."""

    title: str
    lines: tuple[PanelLine, ...]
    format: Format
    unit: str = ""  # shown after the title
    is_rate: bool = False


def format_count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.1f}"


def format_seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:,.0f} ms"
    return f"{value:,.1f} s" if value < 120 else f"{value / 60:,.0f} min"


def format_bytes(value: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"


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
        ("requestacceptance", "follow requests"),
    )
)
_FAN_OUT_LINES = (PanelLine("fan_outs_open", "open"), PanelLine("fan_outs_dead", "dead letters"))
_LAG_LINES = (PanelLine("lag_p50", "median"), PanelLine("lag_p99", "99th percentile"))
_MEMORY_LINES = (PanelLine("memory_cache", "cache"), PanelLine("memory_broker", "broker"))

PANELS = (
    Panel("Waiting jobs", _JOB_LINES, format_count),
    Panel("Fan-out lag", _LAG_LINES, format_seconds),
    Panel("Fan-outs", _FAN_OUT_LINES, format_count),
    Panel("Warm feeds", (PanelLine("feeds_warm", "estimate"),), format_count),
    Panel("Replica lag", (PanelLine("replica_lag", "slowest replica"),), format_seconds),
    Panel("Redis memory", _MEMORY_LINES, format_bytes),
    Panel("Posts", (PanelLine("posts", "new"),), format_count, "per hour", is_rate=True),
    Panel("Reports", (PanelLine("reports", "new"),), format_count, "per hour", is_rate=True),
)
METRIC_NAMES = tuple(line.metric for panel in PANELS for line in panel.lines)
