"""The result of a benchmark: figures with units in their names, ratios to a yardstick, and checks."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.charts import Chart


class BenchmarkError(Exception):
    """The reason why a benchmark could not run, as one line."""


@dataclass
class Result:
    """Numbers by name. A check counts errors, so 0 is a pass.

    `targets` are desired bounds, as text by the name of a figure or ratio. `chart` is what `--png` draws. `text` is
    printed after the numbers.
    """

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    chart: Chart | None = None
    text: str = ""

    @property
    def passed(self) -> bool:
        return not any(self.checks.values())

    def json(self) -> str:
        """Return `{name, figures, ratios, checks}` as JSON."""
        rounded = {
            kind: {name: float(f"{value:.4g}") for name, value in values.items()}
            for kind, values in (("figures", self.figures), ("ratios", self.ratios))
        }
        return json.dumps({"name": self.name, **rounded, "checks": self.checks}, indent=2) + "\n"

    def table(self) -> str:
        rows = [
            *((name, f"{value:,.4g}" if value < 1000 else f"{value:,.0f}") for name, value in self.figures.items()),
            *((f"ratio {name}", f"{value:.2f}") for name, value in self.ratios.items()),
            *((f"check {name}", "passed" if not wrong else f"{wrong} WRONG") for name, wrong in self.checks.items()),
        ]
        width = max(len(name) for name, _ in rows)
        text = ["", self.text] if self.text else []
        return "\n".join([self.name, *(self._row(name, value, width) for name, value in rows), *text])

    def _row(self, name: str, value: str, width: int) -> str:
        target = self.targets.get(name.removeprefix("ratio "))
        return f"  {name:<{width}}  {value:>10}" + (f"   target: {target}" if target else "")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` % of the values do not exceed; 0 if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0
