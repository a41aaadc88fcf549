"""Assert that code takes linear time, in seconds of the processor, which other processes do not lengthen much."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

_PARTS = 10
_TOLERANCE = 4  # a quadratic algorithm takes ten times as long for the whole as for its ten parts
_RESOLUTION = 0.01  # seconds; less is noise
_ROUNDS = 10


def assert_linear_time(call: Callable[[str], object], text: str) -> None:
    """Assert that the whole text takes about as long as ten texts of a tenth of its length.

    The clock speed may change between the two measurements, and other work only lengthens them. So the shortest of
    several rounds are compared; a quadratic algorithm is too slow in each of them.
    """
    part = text[: len(text) // _PARTS]
    parts = whole = float("inf")
    had_gc = gc.isenabled()
    gc.disable()  # a collection of all objects of the test process takes longer than the calls
    try:
        for _ in range(_ROUNDS):
            parts, whole = min(parts, _seconds(call, [part] * _PARTS)), min(whole, _seconds(call, [text]))
            if whole < _TOLERANCE * max(parts, _RESOLUTION):
                return
    finally:
        if had_gc:
            gc.enable()
    raise AssertionError(f"{whole} s for the whole, {parts} s for its parts")


def _seconds(call: Callable[[str], object], texts: list[str]) -> float:
    started = time.process_time()
    for text in texts:
        call(text)
    return time.process_time() - started
