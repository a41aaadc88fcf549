"""The connection to the cache's Redis, and a breaker that keeps a dead one from slowing every request.

`get_client()` is django-redis' raw client: lists, sets and Lua, which django-redis' own
`IGNORE_EXCEPTIONS` does not cover. Readers wrap their calls in `guarded_client()`: when Redis fails, they get
`CacheUnavailable` and answer from SQL, and for `FAILURE_COOLDOWN` seconds nobody in this process tries again.
Writers that must not be lost (invalidations, deliveries) call `get_client()` and keep their own ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django_redis import get_redis_connection

from instafeed.core.cache.circuit_breaker import CircuitBreaker
from instafeed.core.observability.metrics import BREAKER_TRIPS

FAILURE_COOLDOWN = 1.0  # seconds without an attempt after a failure
logger = logging.getLogger(__name__)
_breaker = CircuitBreaker(FAILURE_COOLDOWN)


class CacheUnavailable(Exception):
    """Redis did not answer in time, or failed a moment ago: answer from PostgreSQL."""


def get_client() -> redis.Redis:
    return get_redis_connection("default")


@contextmanager
def guarded_client() -> Iterator[redis.Redis]:
    """A connection for reads that have another source.

    Raises CacheUnavailable for every failure of Redis, at once while it rests after one.
    """
    if _breaker.is_open:
        raise CacheUnavailable("resting after a failure")
    try:
        yield get_client()
    except redis.RedisError as error:
        record_failure(error)
        raise CacheUnavailable(str(error)) from error


def record_failure(error: Exception) -> None:
    """Rest for `FAILURE_COOLDOWN` seconds after a failure."""
    _breaker.trip()
    BREAKER_TRIPS.labels("cache").inc()
    # Redis answered, but with an error: out of memory, read-only, or a mistake of ours that must be seen.
    answered = isinstance(error, redis.ResponseError)
    logger.warning("cache unavailable, answering from SQL: %s", error, exc_info=answered)


def reset_circuit_breaker() -> None:
    """Forget past failures (tests)."""
    _breaker.reset()
