"""A circuit breaker for the primary, so that a frozen primary does not hold the threads of a web process.

The first requests that meet a frozen primary wait until their statements time out. Then the breaker opens: requests
that need a connection to the primary fail at once with OperationalError (503), and those answered from Redis go on as
before. A thread asks the primary until it answers; then the breaker closes. Requests never wait to find that out.

A failure to get a connection may have another cause, such as a pool whose connections are all in use. So the primary is
asked first, and the breaker opens only if it does not answer.
"""

from __future__ import annotations

import logging
import os
import threading
import time

import psycopg
from django.db import connections

from instafeed.core.db.timeout_connection import query_row
from instafeed.core.observability.metrics import BREAKER_TRIPS

logger = logging.getLogger(__name__)

PROBE_INTERVAL = 0.5  # seconds


class PrimaryBreaker:
    """Closed in the beginning. Thread-safe; one for each process."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._is_probing = False  # a thread asks the primary
        self.is_open = False

    def trip(self, reason: object) -> None:
        """Open the breaker until the primary answers."""
        with self._changing:
            self._open(reason)
            self._ensure_probe(reason)

    def suspect(self, reason: object) -> None:
        """Ask the primary in the background, and open the breaker if it does not answer."""
        with self._changing:
            self._ensure_probe(reason)

    def reset(self) -> None:
        """Forget past failures: in a forked process, which has no thread that would close the breaker."""
        self._changing = threading.Lock()
        self._is_probing = self.is_open = False

    def _open(self, reason: object) -> None:
        if not self.is_open:
            self.is_open = True
            BREAKER_TRIPS.labels("primary").inc()
            logger.warning("the primary does not answer: %s", str(reason).strip())

    def _close(self) -> None:
        if self.is_open:
            _drain_pool()
            self.is_open = False
            logger.warning("the primary answers")

    def _ensure_probe(self, reason: object) -> None:
        if self._is_probing:
            return
        try:
            threading.Thread(target=self._probe, args=(reason,), name="primary-probe", daemon=True).start()
        except RuntimeError:  # the machine has no more threads
            self._close()
            raise
        self._is_probing = True

    def _probe(self, reason: object) -> None:
        while True:
            is_up = _is_up()
            with self._changing:
                if is_up:
                    self._is_probing = False
                    self._close()
                    return
                self._open(reason)
            time.sleep(PROBE_INTERVAL)


def _drain_pool() -> None:
    """Have the pool replace its connections: their server may still be frozen, and another one answer instead of it."""
    pool = getattr(connections["default"], "pool", None)
    if pool is not None:
        pool.drain()


def _is_up() -> bool:
    """Return whether the primary answers. A refusal because there is no free connection is an answer.

    The last one is PgBouncer's.
    """
    try:
        query_row("default", "SELECT 1")
    except psycopg.Error as error:
        return any(text in str(error) for text in ("too many", "connection slots", "no more connections allowed"))
    except Exception:
        logger.exception("the primary could not be asked")
        return False
    return True


breaker = PrimaryBreaker()
os.register_at_fork(after_in_child=breaker.reset)
