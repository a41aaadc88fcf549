"""Charts as paths of an SVG, which the template draws: no scripts, no style attributes; colours are CSS classes.

The coordinates are those of a box, `WIDTH` by `HEIGHT`, which the page stretches: only lines are inside, all text is
beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from instafeed.backoffice.dashboard.panels import Panel
from instafeed.backoffice.dashboard.series import Points, Series

WIDTH, HEIGHT = 300, 80
_MARGIN = 2  # kept free above and below, for the width of the line


@dataclass(frozen=True, slots=True)
class ChartLine:
    label: str
    now: str  # the present value; empty if there is none
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    unit: str
    lines: Sequence[ChartLine]
    lowest: str  # of what is drawn; empty if nothing is
    highest: str
    box: str = f"0 0 {WIDTH} {HEIGHT}"

    @property
    def summary(self) -> str:
        """For those who do not see the picture."""
        now = ", ".join(f"{line.label} {line.now or 'unknown'}" for line in self.lines)
        between = f"; between {self.lowest} and {self.highest}" if self.highest else "; no samples"
        return f"{self.title} {self.unit}: {now}{between}"


def draw_chart(figure: Panel, series: Series) -> Chart:
    """All lines of a figure to one scale, which begins at zero."""
    shown = [series.points[line.name] for line in figure.lines]
    seen = [value for points in shown for value in points if value is not None]
    top = max(seen, default=0.0)
    lines = []
    for line, points in zip(figure.lines, shown, strict=True):
        now = series.now[line.name]
        lines.append(ChartLine(line.label, "" if now is None else figure.format(now), svg_path(points, top)))
    lowest, highest = (figure.format(min(seen)), figure.format(top)) if seen else ("", "")
    return Chart(figure.title, figure.unit, lines, lowest, highest)


def svg_path(points: Points, top: float) -> str:
    """The points as an SVG path with zero at the bottom and `top` at the top; None interrupts it."""
    across = WIDTH / max(1, len(points) - 1)
    high = HEIGHT - 2 * _MARGIN
    pieces = []
    for there, run in groupby(enumerate(points), key=lambda point: point[1] is not None):
        if there:
            at = [(x * across, HEIGHT - _MARGIN - high * (value or 0.0) / (top or 1.0)) for x, value in run]
            if len(at) == 1:  # a line of no length is a dot
                at *= 2
            pieces.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at))
    return "".join(pieces)
