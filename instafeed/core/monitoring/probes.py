"""Probes: checks of services with a bounded waiting time.

Each probe runs in its own thread with connection timeouts, at most once at a time and at most once a second. A service
that hangs delays a caller up to a limit and cannot pile up threads. /health and /metrics share the probes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from threading import Lock
from typing import Any
from weakref import WeakSet

Report = dict[str, Any]

RESULT_TTL = 1.0  # seconds
MAX_CONCURRENT_PROBES = 16


class Probe:
    """The check of one service. Its report has a status ("down" if the check fails) and `latency_ms`."""

    def __init__(self, check: Callable[[], Report]) -> None:
        self._check = check
        self.forget()
        _probes.add(self)

    def forget(self) -> None:
        """Drop the last result, and do not wait for a check that is running."""
        self._lock = Lock()
        self._future: Future[Report] | None = None
        self._done_at = 0.0

    def ask(self) -> Future[Report]:
        """Return the future of the running check, of the last result if younger than RESULT_TTL, or of a new check."""
        with self._lock:
            if self._future is None or (self._future.done() and time.monotonic() - self._done_at > RESULT_TTL):
                self._future = _executor().submit(self._run)
            return self._future

    def _run(self) -> Report:
        started = time.perf_counter()
        try:
            report = self._check()
        except Exception as error:
            # The error's type only: its text may hold addresses or secrets.
            report = {"status": "down", "error": type(error).__name__}
        report["latency_ms"] = round((time.perf_counter() - started) * 1000, 2)
        self._done_at = time.monotonic()
        return report


_probes: WeakSet[Probe] = WeakSet()


def run_probes(probes: Mapping[str, Probe], limit: float) -> dict[str, Report]:
    """Return every probe's report after at most `limit` seconds; a late probe is "down" with the error Timeout."""
    futures = {name: probe.ask() for name, probe in probes.items()}
    wait(futures.values(), timeout=limit)
    late = {"status": "down", "error": "Timeout"}
    return {name: future.result() if future.done() else late for name, future in futures.items()}


def reset() -> None:
    """Start again without results, running checks and threads.

    Forked processes begin with it: they inherit the parent's results and locks, but none of the threads that would
    finish a check.
    """
    _executor.cache_clear()
    for probe in list(_probes):
        probe.forget()


os.register_at_fork(after_in_child=reset)


@lru_cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=MAX_CONCURRENT_PROBES, thread_name_prefix="probe")
