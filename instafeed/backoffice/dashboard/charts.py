"""Dashboard charts as SVG paths. The template draws them without scripts or style attributes; CSS classes colour them.

Paths use a box of `WIDTH` by `HEIGHT` units, which the page stretches. The box holds lines only; all text is outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from instafeed.backoffice.dashboard.panels import Panel
from instafeed.backoffice.dashboard.series import Points, Series

WIDTH, HEIGHT = 300, 80
_MARGIN = 2  # units above and below the lines, for the stroke width


@dataclass(frozen=True, slots=True)
class ChartLine:
    label: str
    latest: str  # the formatted latest value; empty if there is none
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    unit: str
    lines: Sequence[ChartLine]
    lowest: str  # formatted; empty if there are no samples
    highest: str
    box: str = f"0 0 {WIDTH} {HEIGHT}"

    @property
    def summary(self) -> str:
        """The chart as one sentence, for screen readers."""
        latest = ", ".join(f"{line.label} {line.latest or 'unknown'}" for line in self.lines)
        between = f"; between {self.lowest} and {self.highest}" if self.highest else "; no samples"
        return f"{self.title} {self.unit}: {latest}{between}"


def draw_chart(panel: Panel, series: Series) -> Chart:
    """Draw all lines of a panel on one scale that starts at zero."""
    points_by_line = [series.points[line.metric] for line in panel.lines]
    values = [value for points in points_by_line for value in points if value is not None]
    top = max(values, default=0.0)
    lines = []
    for line, points in zip(panel.lines, points_by_line, strict=True):
        latest = series.latest[line.metric]
        lines.append(ChartLine(line.label, "" if latest is None else panel.format(latest), svg_path(points, top)))
    lowest, highest = (panel.format(min(values)), panel.format(top)) if values else ("", "")
    return Chart(panel.title, panel.unit, lines, lowest, highest)


def svg_path(points: Points, top: float) -> str:
    """Return the points as an SVG path, with zero at the bottom and `top` at the top. None leaves a gap."""
    step = WIDTH / max(1, len(points) - 1)
    scale = (HEIGHT - 2 * _MARGIN) / (top or 1.0)
    segments = []
    for has_value, run in groupby(enumerate(points), key=lambda point: point[1] is not None):
        if has_value:
            coordinates = [(x * step, HEIGHT - _MARGIN - scale * (value or 0.0)) for x, value in run]
            if len(coordinates) == 1:  # a line of zero length is drawn as a dot
                coordinates *= 2
            segments.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in coordinates))
    return "".join(segments)
