"""Wait in tests for a condition that another process or thread makes true."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMEOUT = 100  # seconds; generous, as a test that fails may take longer than one that passes
START_TIMEOUT = 400  # seconds, for programs that start; a whole stack needs half a minute on an idle machine


def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition()` is true. Fail after TIMEOUT."""
    _wait(condition, TIMEOUT)


def eventually_started(condition: Callable[[], object]) -> None:
    """Wait until programs that start make `condition()` true. Fail after START_TIMEOUT."""
    _wait(condition, START_TIMEOUT)


def _wait(condition: Callable[[], object], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"still false after {timeout} s"
        time.sleep(0.02)  # noqa: TID251
