"""The connection to the cache's Redis, and a breaker that keeps a dead one from slowing every request.

`connection()` is django-redis' raw client: lists, sets and Lua, which django-redis' own
`IGNORE_EXCEPTIONS` does not cover. Readers wrap their calls in `guarded()`: when Redis fails, they get
`CacheUnavailable` and answer from SQL, and for `REST` seconds nobody in this process tries again.
Writers that must not be lost (invalidations, deliveries) call `connection()` and keep their own ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django_redis import get_redis_connection

from instafeed.breaker import Breaker
from instafeed.metrics import BREAKER_TRIPS

REST = 1.0  # seconds without an attempt after a failure
logger = logging.getLogger(__name__)
_breaker = Breaker(REST)


class CacheUnavailable(Exception):
    """Redis did not answer in time, or failed a moment ago: answer from PostgreSQL."""


def connection() -> redis.Redis:
    return get_redis_connection("default")


@contextmanager
def guarded() -> Iterator[redis.Redis]:
    """A connection for reads that have another source.

    Raises CacheUnavailable for every failure of Redis, at once while it rests after one.
    """
    if _breaker.is_open:
        raise CacheUnavailable("resting after a failure")
    try:
        yield connection()
    except redis.RedisError as error:
        trip(error)
        raise CacheUnavailable(str(error)) from error


def trip(error: Exception) -> None:
    """Rest for `REST` seconds after a failure."""
    _breaker.trip()
    BREAKER_TRIPS.labels("cache").inc()
    # Redis answered, but with an error: out of memory, read-only, or a mistake of ours that must be seen.
    answered = isinstance(error, redis.ResponseError)
    logger.warning("cache unavailable, answering from SQL: %s", error, exc_info=answered)


def reset() -> None:
    """Forget past failures (tests)."""
    _breaker.reset()
