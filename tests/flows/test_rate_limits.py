"""Limits hold over all processes, exactly, and let requests pass while the cache is away."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import pytest
import redis

from instafeed.core.cache import keys
from tests.flows.api_user import ApiUser, eventually
from tests.live_stack import LiveStack

LIMIT = 30  # requests of a user, or of an address, in an hour


@pytest.fixture(scope="module")
def limited_stack() -> Iterator[LiveStack]:
    stack = LiveStack(
        *(None, "--web-workers", "2", "--celery-workers", "1"),
        THROTTLE_USER=f"{LIMIT}/hour",
        THROTTLE_ANON=f"{LIMIT}/hour",
    )
    try:
        yield stack.start()
    finally:
        stack.close()


@pytest.fixture(autouse=True)
def _nothing_counted(limited_stack: LiveStack) -> None:
    with redis.Redis.from_url(limited_stack.environment["REDIS_URL"]) as cache:
        for key in cache.scan_iter(f"{keys.THROTTLE_PREFIX}*"):
            cache.delete(key)


def at_once(stack: LiveStack, call: Callable[[httpx.Client], httpx.Response], times: int = 60) -> list[httpx.Response]:
    """Each on a connection of its own, so that both web processes get some."""

    def one(_: int) -> httpx.Response:
        with httpx.Client(base_url=stack.base_url, trust_env=False, timeout=10) as client:
            return call(client)

    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(one, range(times)))


def check_refusals(answers: list[httpx.Response]) -> None:
    refused = [answer for answer in answers if answer.status_code == 429]
    for answer in refused:
        assert 3_500 <= int(answer.headers["Retry-After"]) <= 3_600
        assert answer.json()["errors"][0]["code"] == "throttled"
        assert answer.headers["X-Request-ID"]


@pytest.mark.timeout(300)
def test_of_many_requests_at_once_exactly_the_limit_passes(limited_stack: LiveStack) -> None:
    actor, other = ApiUser(limited_stack), ApiUser(limited_stack)
    token = actor.headers["Authorization"]
    answers = at_once(limited_stack, lambda client: client.get("/api/v1/feed", headers={"Authorization": token}))
    assert Counter(answer.status_code for answer in answers) == {200: LIMIT, 429: 60 - LIMIT}
    check_refusals(answers)
    assert other.call("GET", "/feed").status_code == 200


@pytest.mark.timeout(300)
def test_an_address_is_limited_whatever_it_claims_and_whether_its_tokens_are_bad(limited_stack: LiveStack) -> None:
    username = ApiUser(limited_stack).username  # one request, to begin with
    numbers = count(1)

    def call(client: httpx.Client) -> httpx.Response:
        number = next(numbers)
        claims = {"X-Forwarded-For": f"203.0.113.{number}", "X-Real-IP": f"203.0.113.{number}"}
        if number % 2:
            return client.get(f"/api/v1/users/{username}", headers=claims)
        return client.get("/api/v1/feed", headers=claims | {"Authorization": f"Bearer {number}"})

    answers = at_once(limited_stack, call)
    check_refusals(answers)
    passed = Counter(answer.status_code for answer in answers)
    assert passed[200] + passed[401] == LIMIT - 1
    assert passed[429] == 60 - (LIMIT - 1)
    refused = limited_stack.post("/api/v1/auth/token", json={"username": "nobody", "password": "x"})
    assert refused.status_code == 429, "signing in counts for the address as well"


@pytest.mark.timeout(300)
def test_while_the_cache_is_frozen_requests_pass_without_waiting_for_it_each(limited_stack: LiveStack) -> None:
    limited_stack.freeze("cache")
    try:
        started = time.monotonic()
        statuses = [limited_stack.get("/api/v1/feed").status_code for _ in range(100)]
        seconds = time.monotonic() - started
    finally:
        limited_stack.thaw("cache")
    assert set(statuses) == {401}
    # A process that found it frozen (0.5 s) leaves it alone for a second: not 100 times 0.5 s.
    assert seconds < 10
    eventually(lambda: limited_stack.get("/api/v1/feed").status_code == 429)  # and are counted again
