"""What the dashboard draws: the names under which a sample holds its numbers, and how each is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from instafeed.queues import QUEUES

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    name: str  # in Sample.figures
    label: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart. `is_rate`: samples hold what a minute brought, and the chart shows it by the hour."""

    title: str
    lines: tuple[Line, ...]
    format: Format
    unit: str = ""  # behind every number
    is_rate: bool = False


def count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.1f}"


def seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:,.0f} ms"
    return f"{value:,.1f} s" if value < 120 else f"{value / 60:,.0f} min"


def size(value: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"


def queue(name: str) -> str:
    return f"queue_{name}"


FIGURES = (
    Figure(
        "Waiting tasks", tuple(Line(queue(name), name.replace("_", "-")) for name in QUEUES), count, "in the queues"
    ),
    Figure("Fan-out lag", (Line("lag_p50", "half within"), Line("lag_p99", "99 % within")), seconds),
    Figure("Fan-outs", (Line("fan_outs_open", "under way"), Line("fan_outs_dead", "dead letters")), count),
    Figure("Warm feeds", (Line("feeds_warm", "about"),), count),
    Figure("Replica lag", (Line("replica_lag", "slowest replica"),), seconds),
    Figure("Redis memory", (Line("memory_cache", "cache"), Line("memory_broker", "broker")), size),
    Figure("Posts", (Line("posts", "written"),), count, "an hour", is_rate=True),
    Figure("Reports", (Line("reports", "new"),), count, "an hour", is_rate=True),
)
NAMES = tuple(line.name for figure in FIGURES for line in figure.lines)
