"""Rate limits are exact across all processes, and requests pass while Redis is down."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count

import httpx
import pytest
import redis

from instafeed.core.cache import keys
from instafeed.core.cache.client import FAILURE_COOLDOWN
from tests.support.cache import patient_url
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

LIMIT = 30  # requests per hour, for each user and each address

pytestmark = pytest.mark.restarts_a_program


@pytest.fixture(scope="module")
def limited_stack(live_stack: LiveStack) -> Iterator[LiveStack]:
    limits = {f"THROTTLE_{kind}": f"{LIMIT}/hour" for kind in ("USER", "ANON")}
    # A process that Redis does not answer in time counts for itself alone, and a busy machine may cause that.
    with live_stack.restarted("web", REDIS_URL=patient_url(live_stack.environment["REDIS_URL"]), **limits):
        yield live_stack


@pytest.fixture(autouse=True)
def _reset_counters(limited_stack: LiveStack) -> None:
    with redis.Redis.from_url(limited_stack.environment["REDIS_URL"]) as cache:
        for key in cache.scan_iter(f"{keys.PREFIX}limit:*"):
            cache.delete(key)


def call_concurrently(
    stack: LiveStack, call: Callable[[httpx.Client], httpx.Response], times: int = 60
) -> list[httpx.Response]:
    """Make each call on its own connection, so that both web processes receive some."""

    def run(_: int) -> httpx.Response:
        with httpx.Client(base_url=stack.base_url, trust_env=False, timeout=60) as client:
            return call(client)

    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(run, range(times)))


def assert_throttled_format(responses: list[httpx.Response], began: float) -> None:
    """`began` is before the first counted request."""
    refused = [response for response in responses if response.status_code == 429]
    for response in refused:
        assert 3_600 - (time.monotonic() - began) - 1 <= int(response.headers["Retry-After"]) <= 3_600
        assert response.json()["errors"][0]["code"] == "throttled"
        assert response.headers["X-Request-ID"]


def test_exactly_the_limit_of_concurrent_requests_passes(limited_stack: LiveStack) -> None:
    began = time.monotonic()
    user, other = HttpUser(limited_stack), HttpUser(limited_stack)
    token = user.headers["Authorization"]
    responses = call_concurrently(
        limited_stack, lambda client: client.get("/api/v1/feed", headers={"Authorization": token})
    )
    assert Counter(response.status_code for response in responses) == {200: LIMIT, 429: 60 - LIMIT}
    assert_throttled_format(responses, began)
    assert other.call("GET", "/feed").status_code == 200


def test_address_limit_ignores_forged_headers_and_invalid_tokens(limited_stack: LiveStack) -> None:
    began = time.monotonic()
    username = HttpUser(limited_stack).username  # counts as one request
    numbers = count(1)

    def call(client: httpx.Client) -> httpx.Response:
        number = next(numbers)
        forged_headers = {"X-Forwarded-For": f"203.0.113.{number}", "X-Real-IP": f"203.0.113.{number}"}
        if number % 2:
            return client.get(f"/api/v1/users/{username}", headers=forged_headers)
        return client.get("/api/v1/feed", headers=forged_headers | {"Authorization": f"Bearer {number}"})

    responses = call_concurrently(limited_stack, call)
    assert_throttled_format(responses, began)
    passed = Counter(response.status_code for response in responses)
    assert passed[200] + passed[401] == LIMIT - 1
    assert passed[429] == 60 - (LIMIT - 1)
    refused = limited_stack.post("/api/v1/auth/token", json={"username": "nobody", "password": "x"})
    assert refused.status_code == 429, "sign-in counts for the address too"


def test_requests_pass_and_rarely_try_redis_while_it_hangs(limited_stack: LiveStack) -> None:
    def count_failures() -> float:
        return limited_stack.metric("instafeed_breaker_trips_total", part="cache")

    with ExitStack() as stack:
        # With the timeout of production.
        stack.enter_context(limited_stack.restarted("web", REDIS_URL=limited_stack.environment["REDIS_URL"]))
        for worker in ("worker", "worker-fan-out"):  # their failures are not to be counted
            stack.enter_context(limited_stack.paused(worker))
        before = count_failures()
        with limited_stack.paused("cache"):
            started = time.monotonic()
            # One connection, hence one process.
            statuses = {limited_stack.get("/api/v1/feed").status_code for _ in range(100)}
            failures = count_failures() - before
            seconds = time.monotonic() - started
        assert statuses == {401}
        # After a failure, which takes half a second, the process does not try Redis for a second. The other process
        # may try once, for the request that reads the metric.
        assert 1 <= failures <= seconds / FAILURE_COOLDOWN + 2
        eventually(lambda: limited_stack.get("/api/v1/feed").status_code == 429)  # requests are counted again
