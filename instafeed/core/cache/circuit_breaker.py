"""A circuit breaker: after a failure, this process makes no further attempt for a while."""

from __future__ import annotations

import time


class CircuitBreaker:
    """Stay open for `cooldown` seconds after each failure. Thread-safe."""

    def __init__(self, cooldown: float) -> None:
        self.cooldown = cooldown
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def trip(self) -> None:
        """Record a failure."""
        self._open_until = time.monotonic() + self.cooldown

    def reset(self) -> None:
        """Forget past failures."""
        self._open_until = 0.0
