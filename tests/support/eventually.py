"""Wait in tests for a condition that another process or thread makes true."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMEOUT = 100  # seconds; generous, as a test that fails may take longer than one that passes


def eventually(condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
    """Wait until `condition()` is true. Fail after `timeout` seconds; longer than usual only for starts of programs."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"still false after {timeout} s"
        time.sleep(0.02)  # noqa: TID251
