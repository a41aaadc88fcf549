"""A circuit breaker: after a failure, nobody in this process tries again for a while."""

from __future__ import annotations

import time


class CircuitBreaker:
    """Open for `rest` seconds after each failure. For any number of threads."""

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def trip(self) -> None:
        """Something has failed just now."""
        self._open_until = time.monotonic() + self._rest

    def reset(self) -> None:
        """Forget past failures."""
        self._open_until = 0.0
