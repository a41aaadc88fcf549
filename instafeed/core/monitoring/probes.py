"""Probes: checks of services with a bounded waiting time.

Each probe runs in its own thread with connection timeouts, at most once at a time and at most once a second. A service
that hangs delays a caller up to a limit and cannot pile up threads. /health and /metrics share the probes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from threading import Lock
from typing import Any

Report = dict[str, Any]

RESULT_TTL = 1.0  # seconds
MAX_CONCURRENT_PROBES = 16


class Probe:
    """The check of one service. Its report has a status ("down" if the check fails) and `latency_ms`."""

    def __init__(self, check: Callable[[], Report]) -> None:
        self._check = check
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


def run_probes(probes: Mapping[str, Probe], limit: float) -> dict[str, Report]:
    """Return every probe's report after at most `limit` seconds; a late probe is "down" with the error Timeout."""
    futures = {name: probe.ask() for name, probe in probes.items()}
    wait(futures.values(), timeout=limit)
    late = {"status": "down", "error": "Timeout"}
    return {name: future.result() if future.done() else late for name, future in futures.items()}


@lru_cache
def _executor() -> ThreadPoolExecutor:
    """Create the thread pool on first use: threads do not survive a fork."""
    return ThreadPoolExecutor(max_workers=MAX_CONCURRENT_PROBES, thread_name_prefix="probe")
