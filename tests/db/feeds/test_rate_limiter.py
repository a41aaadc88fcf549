"""The rate limit of deliveries: one second's worth at once, then as many as flow in."""

from __future__ import annotations

import pytest
import redis
from pytest_django import Settings

from feeds import rate_limiter

pytestmark = pytest.mark.usefixtures("redis_cache")


@pytest.mark.parametrize("limit", [100, 5_000])
def test_burst_is_limited_to_one_second(settings: Settings, redis_cache: redis.Redis, limit: int) -> None:
    settings.FAN_OUT_RATE_LIMIT = limit
    granted, began = 0, redis_time(redis_cache)
    while (wait := rate_limiter.acquire(limit // 10)) == 0:
        granted += limit // 10
    seconds = redis_time(redis_cache) - began
    assert limit <= granted <= limit + limit * seconds, "the bucket, and the tokens that flowed in meanwhile"
    assert 0 < wait <= 0.1


def redis_time(client: redis.Redis) -> float:
    """Return the time by the clock that fills the bucket."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


def test_no_limit_grants_everything() -> None:
    assert rate_limiter.acquire(10**9) == 0


def test_batch_larger_than_the_limit_is_granted_and_paid_for_later(settings: Settings) -> None:
    settings.FAN_OUT_RATE_LIMIT = 10
    assert rate_limiter.acquire(1_000) == 0
    assert rate_limiter.acquire(1) > 50
