"""Charts as SVG paths. The template draws them without scripts or style attributes; CSS classes colour them.

Paths use a box of `WIDTH` by `HEIGHT` units, which the page stretches. The box holds lines only; all text is outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from instafeed.backoffice.quantities import Quantity

WIDTH, HEIGHT = 300, 80
MAX_INTERVALS = 4  # between the ticks of the y-axis
_MARGIN = 2  # units above and below the lines, for the stroke width

Points = Sequence[float | None]  # evenly spaced, oldest first; None: no value


@dataclass(frozen=True, slots=True)
class LineData:
    label: str
    points: Points
    latest: float | None = None


@dataclass(frozen=True, slots=True)
class ChartLine:
    label: str
    latest: str  # the formatted latest value; empty if there is none
    path: str
    dots: str  # the points without neighbours, as lines of zero length


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    unit: str
    lines: Sequence[ChartLine]
    lowest: str  # formatted; empty if there are no values
    highest: str
    ticks: Sequence[str]  # the texts of the y-axis at equal distances, the highest first
    begins: str  # the text of the x-axis at its left end
    ends: str
    box: str = f"0 0 {WIDTH} {HEIGHT}"

    @property
    def grid(self) -> str:
        """The lines at the ticks, as an SVG path."""
        step = (HEIGHT - 2 * _MARGIN) / (len(self.ticks) - 1)
        return "".join(f"M0 {_MARGIN + number * step:.1f}H{WIDTH}" for number in range(len(self.ticks)))

    @property
    def summary(self) -> str:
        """The chart as one sentence, for screen readers."""
        latest = ", ".join(f"{line.label} {line.latest or 'unknown'}" for line in self.lines)
        between = f"; between {self.lowest} and {self.highest}" if self.highest else "; no values"
        return f"{self.title}{f' {self.unit}' if self.unit else ''}: {latest}{between}"


def draw_chart(
    title: str,
    unit: str,
    quantity: Quantity,
    lines: Sequence[LineData],
    *,
    begins: str,
    ends: str = "now",
    max_gap: int = 0,
) -> Chart:
    """Draw all lines on one scale that starts at zero. Gaps of up to `max_gap` points are bridged."""
    values = [value for line in lines for value in line.points if value is not None]
    ticks = choose_ticks(max(values, default=0.0), quantity)
    drawn = []
    for line in lines:
        path, dots = svg_paths(line.points, ticks[-1], max_gap)
        latest = "" if line.latest is None else quantity.format(line.latest)
        drawn.append(ChartLine(line.label, latest, path, dots))
    lowest, highest = (quantity.format(min(values)), quantity.format(max(values))) if values else ("", "")
    texts = [quantity.format_tick(tick) for tick in reversed(ticks)]
    return Chart(title, unit, drawn, lowest, highest, texts, begins, ends)


def choose_ticks(highest: float, quantity: Quantity) -> list[float]:
    """Return the values of at most `MAX_INTERVALS` + 1 round ticks, from zero to `highest` or above."""
    steps = quantity.steps
    step = next((step for step in steps if highest <= MAX_INTERVALS * step), highest / MAX_INTERVALS)
    return [number * step for number in range(max(1, ceil(highest / step)) + 1)]


def svg_paths(points: Points, top: float, max_gap: int = 0) -> tuple[str, str]:
    """Return the lines and the single points as SVG paths, with zero at the bottom and `top` at the top.

    More than `max_gap` values of None in a row leave a gap.
    """
    step = WIDTH / max(1, len(points) - 1)
    scale = (HEIGHT - 2 * _MARGIN) / (top or 1.0)
    lines, dots = "", ""
    for run in _runs(points, max_gap):
        coordinates = [f"{x * step:.1f} {HEIGHT - _MARGIN - scale * value:.1f}" for x, value in run]
        if len(coordinates) > 1:
            lines += "M" + "L".join(coordinates)
        else:
            dots += f"M{coordinates[0]}h0"
    return lines, dots


def _runs(points: Points, max_gap: int) -> Iterator[list[tuple[int, float]]]:
    """Yield the (index, value) pairs that one line connects."""
    run: list[tuple[int, float]] = []
    for index, value in enumerate(points):
        if value is None:
            continue
        if run and index - run[-1][0] > max_gap + 1:
            yield run
            run = []
        run.append((index, value))
    if run:
        yield run
