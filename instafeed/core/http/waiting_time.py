"""How long requests wait for a thread, and how long the next one would wait."""

from __future__ import annotations

import time
from typing import NamedTuple


class Place(NamedTuple):
    """A request's place in the queue."""

    number: int  # counted from the first request of this process
    ahead: int  # requests that were waiting when it came
    since: float  # time.monotonic()


class WaitingTime:
    """Estimates the waiting time from the latest request that got a thread: its own wait, and how many were ahead.

    The queue is first in, first out, so the wait of a new request is the number of those ahead of it, times the seconds
    that each of them takes (Little's law). `join` is called by one thread, `leave` by many. A race between them makes
    the estimate wrong by one request, until the next one leaves.
    """

    def __init__(self) -> None:
        self._joined = 0
        self._left = 0
        self._seconds_each = 0.0

    @property
    def queued(self) -> int:
        """The number of requests that wait for a thread."""
        return max(0, self._joined - self._left)

    def join(self) -> Place:
        """Return the place of a new request, the last one."""
        ahead = self.queued
        self._joined += 1
        return Place(self._joined, ahead, time.monotonic())

    def leave(self, place: Place) -> float:
        """Return how many seconds the request has waited. Call it when the request gets a thread."""
        waited = time.monotonic() - place.since
        self._left = max(self._left, place.number)
        self._seconds_each = waited / (place.ahead + 1)
        return waited

    def expected(self) -> float:
        """Return how many seconds a request that joins now would wait."""
        return self.queued * self._seconds_each
