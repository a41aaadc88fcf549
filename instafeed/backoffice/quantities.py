"""What charts measure: how a value is written, and which distances between two ticks of an axis are round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Quantity:
    format: Callable[[float], str]
    steps: Sequence[float]  # ascending

    def format_tick(self, value: float) -> str:
        """Return the text beside a tick: zero without a unit, whole numbers without decimals."""
        return self.format(value).replace(".0 ", " ") if value else "0"


def format_count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.1f}"


def format_seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:,.0f} ms"
    if value < 2 * _MINUTE:
        return f"{value:,.1f} s"
    if value < 2 * _HOUR:
        return f"{value / _MINUTE:,.0f} min"
    return f"{value / _HOUR:,.1f} h" if value < 2 * _DAY else f"{value / _DAY:,.1f} days"


def format_bytes(value: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} GB"


def _decimal_steps(lowest: int, highest: int, unit: float = 1) -> tuple[float, ...]:
    """Return 1, 2, 5, 10, 20, 50… times the unit, between two powers of ten."""
    return tuple(unit * digit * 10.0**power for power in range(lowest, highest) for digit in (1, 2, 5))


_SECONDS_STEPS = (
    *_decimal_steps(-3, 1),
    *(10, 20, 30),
    *(number * _MINUTE for number in (1, 2, 5, 10, 20, 30)),
    *(number * _HOUR for number in (1, 2, 6, 12)),
    *_decimal_steps(0, 6, _DAY),
)
COUNT = Quantity(format_count, _decimal_steps(0, 15))
SECONDS = Quantity(format_seconds, _SECONDS_STEPS)
BYTES = Quantity(format_bytes, _decimal_steps(0, 18))
