"""Assert that code takes linear time, in seconds of the processor, which other processes do not lengthen much."""

from __future__ import annotations

import time
from collections.abc import Callable

_PARTS = 10
_TOLERANCE = 4  # a quadratic algorithm takes ten times as long for the whole as for its ten parts
_RESOLUTION = 0.01  # seconds; less is noise
_ROUNDS = 5


def assert_linear_time(call: Callable[[str], object], text: str) -> None:
    """Assert that the whole text takes about as long as ten texts of a tenth of its length.

    The speed of the machine may change between the two, so rounds follow until one is within the tolerance. A quadratic
    algorithm would need a machine that becomes three times as fast between the parts and the whole of one round.
    """
    part = text[: len(text) // _PARTS]
    rounds = []
    for _ in range(_ROUNDS):
        parts, whole = _seconds(call, [part] * _PARTS), _seconds(call, [text])
        rounds.append(f"{whole} s for the whole, {parts} s for its parts")
        if whole < _TOLERANCE * max(parts, _RESOLUTION):
            return
    raise AssertionError(rounds)


def _seconds(call: Callable[[str], object], texts: list[str]) -> float:
    started = time.process_time()
    for text in texts:
        call(text)
    return time.process_time() - started
