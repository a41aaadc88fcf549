"""What the dashboard draws: the names under which a sample holds its numbers, and how each is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from instafeed.core.jobs.queues import QUEUES

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class PanelLine:
    name: str  # in Sample.figures
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart. `is_rate`: samples hold what a minute brought, and the chart shows it by the hour."""

    title: str
    lines: tuple[PanelLine, ...]
    format: Format
    unit: str = ""  # behind every number
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


def queue_metric(name: str) -> str:
    return f"queue_{name}"


PANELS = (
    Panel(
        "Waiting tasks",
        tuple(PanelLine(queue_metric(name), name.replace("_", "-")) for name in QUEUES),
        format_count,
        "in the queues",
    ),
    Panel("Fan-out lag", (PanelLine("lag_p50", "half within"), PanelLine("lag_p99", "99 % within")), format_seconds),
    Panel(
        "Fan-outs", (PanelLine("fan_outs_open", "under way"), PanelLine("fan_outs_dead", "dead letters")), format_count
    ),
    Panel("Warm feeds", (PanelLine("feeds_warm", "about"),), format_count),
    Panel("Replica lag", (PanelLine("replica_lag", "slowest replica"),), format_seconds),
    Panel("Redis memory", (PanelLine("memory_cache", "cache"), PanelLine("memory_broker", "broker")), format_bytes),
    Panel("Posts", (PanelLine("posts", "written"),), format_count, "an hour", is_rate=True),
    Panel("Reports", (PanelLine("reports", "new"),), format_count, "an hour", is_rate=True),
)
METRIC_NAMES = tuple(line.name for figure in PANELS for line in figure.lines)
