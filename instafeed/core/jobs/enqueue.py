"""Nudging the workers: a hint that may be lost, never a promise.

A row in PostgreSQL (`feeds.fanout_outbox`, `accounts.erasure_worker`) is the promise. So a nudge never fails its caller and
never holds it up for long: after a failure nobody in this process tries again for `RETRY_COOLDOWN` seconds, and the
sweeper finds what was missed.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from instafeed.core.cache.circuit_breaker import CircuitBreaker
from instafeed.core.observability.metrics import BREAKER_TRIPS

logger = logging.getLogger(__name__)

RETRY_COOLDOWN = 5.0  # seconds without an attempt after a failure
_breaker = CircuitBreaker(RETRY_COOLDOWN)


def try_enqueue(task: Task, *arguments: Any, countdown: float = 0) -> bool:
    """Publish a task, to run in `countdown` seconds; False when the broker did not take it within its time-out
    (settings: under a second)."""
    if _breaker.is_open:
        return False
    try:
        task.apply_async(arguments, countdown=countdown, retry=False, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        _breaker.trip()
        BREAKER_TRIPS.labels("broker").inc()
        logger.warning("broker unavailable, %s is left to the sweeper: %s", task.name, error)
        return False
    return True


def reset_circuit_breaker() -> None:
    """Forget past failures (tests)."""
    _breaker.reset()
