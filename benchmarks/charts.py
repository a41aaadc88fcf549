"""Draw the curves of a benchmark into a PNG file, with matplotlib from the extra `bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Chart:
    """Curves by their names, each of (x, y) points. Both axes can be logarithmic."""

    x_label: str
    y_label: str
    curves: Mapping[str, Sequence[tuple[float, float]]]
    is_x_logarithmic: bool = False
    is_y_logarithmic: bool = True


def can_draw() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(chart: Chart, title: str, file: Path) -> None:
    from matplotlib.figure import Figure  # optional, and slow to import

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, points in chart.curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label, title=title)
    axes.set_xscale("log" if chart.is_x_logarithmic else "linear")
    axes.set_yscale("log" if chart.is_y_logarithmic else "linear")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=100, format="png")
