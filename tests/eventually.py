"""Wait in tests for a condition that another process or thread makes true."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], seconds: float = 60) -> float:
    """Wait until `condition()` is true. Return how many seconds it took; fail after `seconds`."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"still false after {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - started
