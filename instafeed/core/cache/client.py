"""The connection to the cache's Redis, and a circuit breaker that keeps a dead Redis from slowing every request.

`get_client()` is django-redis' raw client, which `instafeed.core.cache.commands` uses. In a cluster each server has a
circuit breaker of its own (`instafeed.core.cache.cluster`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django_redis import get_redis_connection

from instafeed.core.cache.circuit_breaker import CircuitBreaker
from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.core.observability.metrics import BREAKER_TRIPS

FAILURE_COOLDOWN = 1.0  # seconds without an attempt after a failure
logger = logging.getLogger(__name__)
breaker = CircuitBreaker(FAILURE_COOLDOWN)


class CacheUnavailable(Exception):
    """Redis did not answer in time, or failed within the cooldown: answer from PostgreSQL."""


class ServersFailed(redis.RedisError):
    """Some servers of a cluster failed. `keys`: those on which the commands were not executed."""

    def __init__(self, error: Exception, keys: frozenset[str]) -> None:
        super().__init__(str(error))
        self.keys = keys


def get_client() -> redis.Redis | ClusterClient:
    """Return a `ClusterClient` if REDIS_URL names one. Raises redis.RedisError if none of its servers answers."""
    return get_redis_connection("default")


@contextmanager
def guarded_client() -> Iterator[redis.Redis | ClusterClient]:
    """Yield a client for reads that have another source.

    Raises CacheUnavailable for every Redis failure, and without an attempt during the cooldown after one.
    """
    if breaker.is_open:
        raise CacheUnavailable("circuit breaker is open")
    try:
        yield get_client()
    except redis.RedisError as error:
        record_failure(error)
        raise CacheUnavailable(str(error)) from error


def record_failure(error: Exception) -> None:
    """Open the circuit breaker for `FAILURE_COOLDOWN` seconds, unless the error is that of some servers only."""
    if isinstance(error, ServersFailed):
        return
    breaker.trip()
    BREAKER_TRIPS.labels("cache").inc()
    # An error reply (out of memory, read-only, or a bug of ours) needs its traceback; a lost connection does not.
    is_error_reply = isinstance(error, redis.ResponseError)
    logger.warning("cache unavailable, answering from SQL: %s", error, exc_info=is_error_reply)
