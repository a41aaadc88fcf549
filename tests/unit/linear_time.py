"""Assert that code takes linear time, in seconds of the processor, which other processes do not lengthen much."""

from __future__ import annotations

import time
from collections.abc import Callable

_PARTS = 10
_TOLERANCE = 4  # a quadratic algorithm takes ten times as long for the whole as for its ten parts
_RESOLUTION = 0.01  # seconds; less is noise


def assert_linear_time(call: Callable[[str], object], text: str) -> None:
    """Assert that the whole text takes about as long as ten texts of a tenth of its length."""
    part = text[: len(text) // _PARTS]
    parts, whole = _seconds(call, [part] * _PARTS), _seconds(call, [text])
    assert whole < _TOLERANCE * max(parts, _RESOLUTION), f"{whole} s for the whole, {parts} s for its parts"


def _seconds(call: Callable[[str], object], texts: list[str]) -> float:
    started = time.process_time()
    for text in texts:
        call(text)
    return time.process_time() - started
