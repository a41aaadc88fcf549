"""A scheduler for several beats, of which one sends the periodic tasks: `celery beat --scheduler …:LeasedScheduler`.

The one that sends holds a lease: a key in the cache with its token, which it renews every second. When it stops, it
gives the lease back. When it dies, another beat takes the lease within LEASE_TTL seconds.

Without the cache every beat sends, as periodic tasks repair what is lost, and each of them may run twice. The same
holds when the lease passes to another beat: it sends all that would have been due since its own start, once.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

from celery.beat import PersistentScheduler

from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, guarded_client

RENEWAL_INTERVAL = 1.0  # seconds
LEASE_TTL = 6  # seconds; several renewals
logger = logging.getLogger(__name__)


class LeasedScheduler(PersistentScheduler):
    def __init__(self, *args: Any, **options: Any) -> None:
        self._token = uuid4().hex.encode()
        self._is_sender: bool | None = None
        self._renewed_at = float("-inf")
        super().__init__(*args, **options)

    def tick(self, *args: Any, **options: Any) -> float:
        """Send one task that is due, if this beat holds the lease. Return the seconds until the next call."""
        if time.monotonic() - self._renewed_at >= RENEWAL_INTERVAL:
            self._renew()
        if not self._is_sender:
            return RENEWAL_INTERVAL
        delay: float = super().tick(*args, **options)
        return min(delay, RENEWAL_INTERVAL)

    def _renew(self) -> None:
        try:
            is_sender = self._acquire()
        except CacheUnavailable:
            is_sender = True
        if is_sender != self._is_sender:
            logger.info("%s beat sends the periodic tasks", "this" if is_sender else "another")
        self._is_sender, self._renewed_at = is_sender, time.monotonic()

    def _acquire(self) -> bool:
        """Take or renew the lease. Return whether this beat holds it. Raises CacheUnavailable."""
        with guarded_client() as client:
            if client.set(keys.BEAT, self._token, nx=True, ex=LEASE_TTL):
                return True
            if client.get(keys.BEAT) != self._token:
                return False
            # If the lease has expired and passed on since, this extends that of the other, by some seconds.
            client.expire(keys.BEAT, LEASE_TTL)
            return True

    def close(self) -> None:
        with suppress(CacheUnavailable), guarded_client() as client:
            if client.get(keys.BEAT) == self._token:
                client.delete(keys.BEAT)
        super().close()
