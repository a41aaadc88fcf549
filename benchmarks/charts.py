"""Draw the curves of a benchmark into a PNG file, with matplotlib from the extra `bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Curve:
    """(x, y) points. A dashed curve has the colour of the one before it."""

    name: str
    points: Sequence[tuple[float, float]]
    is_dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """Curves over the same axes, each of which can be logarithmic."""

    x_label: str
    y_label: str
    curves: Sequence[Curve]
    is_x_logarithmic: bool = False
    is_y_logarithmic: bool = True


def can_draw() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(chart: Chart, title: str, file: Path) -> None:
    from matplotlib.figure import Figure  # optional, and slow to import

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    colour = -1
    for curve in chart.curves:
        colour += not curve.is_dashed
        style = "--" if curve.is_dashed else "-"
        axes.plot(*zip(*curve.points, strict=True), style, color=f"C{colour}", marker="o", label=curve.name)
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label, title=title)
    axes.set_xscale("log" if chart.is_x_logarithmic else "linear")
    axes.set_yscale("log" if chart.is_y_logarithmic else "linear")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=100, format="png")
