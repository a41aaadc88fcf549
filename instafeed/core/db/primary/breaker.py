"""A circuit breaker for the primary, so that a frozen primary does not hold the threads of a web process.

The first requests that meet a frozen primary wait until their statements time out, or until the connection pool is
empty for a second. Then the breaker opens: further requests that need the primary fail at once with OperationalError
(503), and those answered from Redis go on as before. A thread asks the primary until it answers; then the breaker
closes. Requests never wait to find that out.
"""

from __future__ import annotations

import logging
import threading
import time

import psycopg

from instafeed.core.db.timeout_connection import query_row
from instafeed.core.observability.metrics import BREAKER_TRIPS

logger = logging.getLogger(__name__)

PROBE_INTERVAL = 0.5  # seconds


class PrimaryBreaker:
    """Closed in the beginning. Thread-safe; one for each process."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self.is_open = False

    def trip(self, reason: object) -> None:
        """Open the breaker, and close it when the primary answers: within milliseconds if it only was slow."""
        with self._changing:
            if self.is_open:
                return
            self.is_open = True
        BREAKER_TRIPS.labels("primary").inc()
        logger.warning("the primary does not answer: %s", str(reason).strip())
        threading.Thread(target=self._close_when_up, name="primary-probe", daemon=True).start()

    def _close_when_up(self) -> None:
        while not _is_up():
            time.sleep(PROBE_INTERVAL)
        self.is_open = False
        logger.warning("the primary answers")


def _is_up() -> bool:
    try:
        query_row("default", "SELECT 1")
    except psycopg.Error:
        return False
    return True


breaker = PrimaryBreaker()
