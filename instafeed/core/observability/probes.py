"""Asking a part of the system how it is, without ever waiting long for one that is not.

Each probe runs in a thread of its own over bounded connections, never in more than one at once, and at most once a
second: a part that hangs delays whoever asks by a limit, and cannot pile threads up. /health and /metrics share
the probes, so both together ask no more than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from threading import Lock
from typing import Any

Report = dict[str, Any]

RESULT_TTL = 1.0  # seconds that a result is used again
MAX_CONCURRENT_PROBES = 16  # probes at once


class Probe:
    """One part's check: `ask()` gives its report, "down" if it fails, and how long it took."""

    def __init__(self, check: Callable[[], Report]) -> None:
        self._check = check
        self._lock = Lock()
        self._future: Future[Report] | None = None
        self._done_at = 0.0

    def ask(self) -> Future[Report]:
        """The probe that is under way, or the last result if it is fresh, or a new probe."""
        with self._lock:
            if self._future is None or (self._future.done() and time.monotonic() - self._done_at > RESULT_TTL):
                self._future = _executor().submit(self._run)
            return self._future

    def _run(self) -> Report:
        began = time.perf_counter()
        try:
            report = self._check()
        except Exception as error:
            # The kind of error only: its text may name addresses or hold secrets.
            report = {"status": "down", "error": type(error).__name__}
        report["latency_ms"] = round((time.perf_counter() - began) * 1000, 2)
        self._done_at = time.monotonic()
        return report


def run_probes(probes: Mapping[str, Probe], limit: float) -> dict[str, Report]:
    """Every probe's report within `limit` seconds; "down" with error Timeout for one that takes longer."""
    futures = {name: probe.ask() for name, probe in probes.items()}
    wait(futures.values(), timeout=limit)
    late = {"status": "down", "error": "Timeout"}
    return {name: future.result() if future.done() else late for name, future in futures.items()}


@lru_cache
def _executor() -> ThreadPoolExecutor:
    """Made at the first question: threads do not survive a fork."""
    return ThreadPoolExecutor(max_workers=MAX_CONCURRENT_PROBES, thread_name_prefix="probe")
