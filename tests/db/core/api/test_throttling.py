"""Rate limits are exact, shared by all processes, hard to evade, and off during a Redis outage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.urls import get_resolver
from pytest_django import Settings
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import services as accounts
from accounts import sessions
from accounts.models import User
from instafeed.core.api import rate_limits, throttling
from instafeed.core.api.throttling import AnonThrottle, UploadThrottle, UserThrottle, client_address
from instafeed.core.cache import client as cache_client
from tests.support.broken_redis import break_redis
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.redis_round_trips import count_round_trips

pytestmark = [pytest.mark.urls("tests.support.urls"), pytest.mark.usefixtures("redis_cache")]


@pytest.fixture
def limit(settings: Settings) -> Settings:
    """Set every scope to 3 an hour."""
    settings.THROTTLES = dict.fromkeys(settings.THROTTLES, "3/hour")
    return settings


ADDRESS = "127.0.0.1"  # the test client's own


def request_of(
    user: User | AnonymousUser | None = None, *, address: str = ADDRESS, headers: Mapping[str, str] | None = None
) -> Request:
    request = Request(RequestFactory().get("/", headers=headers, REMOTE_ADDR=address))
    request.user = user or AnonymousUser()
    return request


def sign_in(client: Client, username: str, address: str = ADDRESS) -> int:
    data = {"username": username, "password": "wrong"}
    response = client.post("/api/v1/auth/token", data, content_type="application/json", REMOTE_ADDR=address)
    return response.status_code


def get(client: Client, path: str, token: str | None = None, address: str = ADDRESS) -> ClientResponse:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.get(f"/api/v1/{path}", headers=headers, REMOTE_ADDR=address)


@pytest.mark.django_db
def test_requests_beyond_the_limit_are_429_with_retry_after(client: Client, limit: Settings) -> None:
    assert [sign_in(client, "alice") for _ in range(3)] == [401] * 3
    response = client.post(
        "/api/v1/auth/token", {"username": "alice", "password": "x"}, content_type="application/json"
    )
    assert_error(response, 429, "throttled")
    assert 3_000 < int(response["Retry-After"]) <= 3_600


@pytest.mark.django_db
def test_registration_is_limited_per_address(client: Client, limit: Settings) -> None:
    statuses = [client.post("/api/v1/auth/register", {}, content_type="application/json").status_code for _ in range(4)]
    assert statuses == [400, 400, 400, 429]


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"[]", b'{"username": 5}', b'{"username": ["a"]}', b"{", b""])
def test_a_malformed_body_is_a_400(client: Client, limit: Settings, body: bytes) -> None:
    assert_error(client.post("/api/v1/auth/token", body, content_type="application/json"), 400)


@pytest.mark.django_db
def test_scopes_and_clients_have_separate_counters(limit: Settings) -> None:
    alice, bob = UserFactory.create_batch(2)

    def allowed(throttle: type[throttling.Throttle], user: User | None = None) -> bool:
        return throttle().allow_request(request_of(user), APIView())

    assert [allowed(UserThrottle, alice) for _ in range(4)] == [True, True, True, False]
    assert allowed(UserThrottle, bob)
    assert allowed(UploadThrottle, alice)
    assert allowed(AnonThrottle)
    assert all(allowed(AnonThrottle, alice) for _ in range(4))  # signed-in users are not anonymous
    assert all(allowed(UserThrottle) for _ in range(4))


def test_concurrent_requests_pass_exactly_up_to_the_limit(settings: Settings) -> None:
    settings.THROTTLES = {"anon": "10/hour"}
    with ThreadPoolExecutor(8) as pool:
        passed = pool.map(lambda _: AnonThrottle().allow_request(request_of(), APIView()), range(40))
    assert sum(passed) == 10


def test_a_window_expires(settings: Settings, redis_cache: redis.Redis) -> None:
    settings.THROTTLES = {"anon": "1/day"}
    assert AnonThrottle().allow_request(request_of(), APIView())
    assert not AnonThrottle().allow_request(request_of(), APIView())
    (key,) = redis_cache.keys("*")
    assert redis_cache.keys("if1:limit*") == [key]
    assert 86_000 < redis_cache.ttl(key) <= 86_400


def test_a_scope_that_is_off_uses_no_redis(settings: Settings, redis_cache: redis.Redis) -> None:
    settings.THROTTLES = {"anon": None}
    assert AnonThrottle().allow_request(request_of(), APIView())
    assert not redis_cache.keys("*")


def test_requests_pass_during_a_redis_outage(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.THROTTLES = {"anon": "1/hour"}
    break_redis(monkeypatch)
    try:
        assert all(AnonThrottle().allow_request(request_of(), APIView()) for _ in range(3))
    finally:
        cache_client.breaker.reset()


def test_a_request_is_given_back_where_it_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rate = rate_limits.parse_rate("9/hour")
    rate_limits.local_windows.clear()

    def count() -> rate_limits.Window:
        window = rate_limits.count("login", "alice", rate, local_fallback=True)
        assert window is not None
        return window

    in_redis = count()
    with monkeypatch.context() as outage:
        break_redis(outage)
        here = count()
    cache_client.breaker.reset()
    assert (in_redis.used, here.used) == (1, 1)
    rate_limits.give_back(here)
    assert count().used == 2
    rate_limits.give_back(in_redis)
    assert count().used == 2
    assert rate_limits.local_windows.count(here.key, 3_600)[0] == 1


@pytest.mark.django_db
def test_an_ended_session_cannot_use_up_the_limit_of_its_user(client: Client, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"user": "2/hour"}
    user = UserFactory()
    ended, live = (sessions.start(user) for _ in range(2))
    sessions.end(ended.refresh)

    def status(access: str) -> int:
        return client.get("/api/v1/me", headers={"Authorization": f"Bearer {access}"}).status_code

    assert [status(ended.access) for _ in range(3)] == [401] * 3
    assert [status(live.access) for _ in range(3)] == [200, 200, 429]
    assert status(ended.access) == 401
    accounts.suspend(user.pk)
    assert [status(live.access) for _ in range(3)] == [401] * 3
    accounts.reinstate(user.pk)
    window = rate_limits.count("user", str(user.pk), rate_limits.parse_rate("2/hour"), local_fallback=False)
    assert window is not None
    assert window.used == 4


def test_a_request_is_one_round_trip(settings: Settings) -> None:
    settings.THROTTLES = {"anon": "1/hour"}
    AnonThrottle().allow_request(request_of(address="192.0.2.77"), APIView())  # loads the script into Redis
    with count_round_trips() as trips:
        assert AnonThrottle().allow_request(request_of(), APIView())
    assert trips == ["EVALSHA"]
    with count_round_trips() as trips:
        assert not AnonThrottle().allow_request(request_of(), APIView())
    assert trips == ["EVALSHA"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["with-token", "token-optional"])
def test_requests_with_a_bad_token_are_limited_per_address(client: Client, limit: Settings, path: str) -> None:
    tokens = ("", "x", "a.b.c", "another")
    responses = [get(client, path, token) for token in tokens]
    assert [response.status_code for response in responses] == [401, 401, 401, 429]
    assert_error(responses[-1], 429, "throttled")
    assert 3_000 < int(responses[-1]["Retry-After"]) <= 3_600
    assert get(client, path, "x", "192.0.2.9").status_code == 401


@pytest.mark.django_db
def test_requests_without_a_token_are_limited(client: Client, limit: Settings) -> None:
    assert [get(client, "with-token").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert get(client, "token-optional").status_code == 429


@pytest.mark.django_db
def test_a_failed_sign_in_counts_once(client: Client, settings: Settings) -> None:
    settings.THROTTLES = dict.fromkeys(settings.THROTTLES) | {"anon": "3/hour"}
    assert [sign_in(client, "alice") for _ in range(4)] == [401, 401, 401, 429]


@pytest.mark.django_db
def test_users_are_limited_across_addresses_and_apart_from_them(client: Client, limit: Settings) -> None:
    alice, bob = (sessions.start(UserFactory()).access for _ in range(2))
    addresses = [f"192.0.2.{number}" for number in range(4)]
    statuses = [get(client, "with-token", alice, address).status_code for address in addresses]
    assert statuses == [200, 200, 200, 429]
    assert get(client, "with-token", bob, addresses[0]).status_code == 200
    assert get(client, "token-optional", address=addresses[0]).status_code == 200


@pytest.mark.django_db
def test_without_proxies_headers_do_not_change_the_address(client: Client, limit: Settings) -> None:
    names = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP")
    responses = [client.get("/api/v1/token-optional", headers={name: "203.0.113.5"}) for name in names]
    assert [response.status_code for response in responses] == [200, 200, 200, 429]


def api_views(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, type[APIView]]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from api_views(pattern.url_patterns, path)
        elif path.startswith("api/") and hasattr(pattern.callback, "cls"):
            yield path, pattern.callback.cls


@pytest.mark.urls("instafeed.urls")
def test_every_path_is_throttled_for_all_its_clients() -> None:
    views = dict(api_views(get_resolver().url_patterns))
    assert len(views) > 20
    del views["api/v1/instance"]  # caches answer in its place
    for path, view in views.items():
        needed: set[type[throttling.Throttle]] = set()
        if view.authentication_classes:
            needed.add(UserThrottle)
        if IsAuthenticated not in view.permission_classes:
            needed.add(AnonThrottle)
        assert needed <= set(view.throttle_classes), f"{path} is not limited by {needed}"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "192.0.2.1"),
        (0, "198.51.100.7", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.5, 198.51.100.7", "198.51.100.7"),
        (2, "203.0.113.5, 198.51.100.7", "203.0.113.5"),
        (2, "6.6.6.6, 203.0.113.5, 198.51.100.7", "203.0.113.5"),
        (2, "198.51.100.7", "192.0.2.1"),
        (1, "nonsense", "unknown"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "::ffff:198.51.100.7", "198.51.100.7"),
    ],
)
def test_the_address_is_the_one_seen_by_the_outermost_trusted_proxy(
    settings: Settings, proxies: int, forwarded: str, address: str
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_address(request_of(address="192.0.2.1", headers=headers)) == address


@pytest.mark.django_db
def test_responses_tell_what_is_left_of_the_limit(client: Client, limit: Settings) -> None:
    limit.THROTTLES = limit.THROTTLES | {"user": "2/hour"}
    token = sessions.start(UserFactory()).access
    responses = [get(client, "with-token", token) for _ in range(3)]
    assert [response.status_code for response in responses] == [200, 200, 429]
    assert [response["RateLimit-Remaining"] for response in responses] == ["1", "0", "0"]
    assert {response["RateLimit-Limit"] for response in responses} == {"2"}
    assert 3_500 < int(responses[0]["RateLimit-Reset"]) <= 3_600
    assert responses[2]["RateLimit-Reset"] == responses[2]["Retry-After"]
    unauthorized = get(client, "with-token", "x")
    assert (unauthorized["RateLimit-Limit"], unauthorized["RateLimit-Remaining"]) == ("3", "2")


@pytest.mark.django_db
def test_responses_that_are_not_counted_have_no_rate_limit(client: Client) -> None:
    assert not [name for name in get(client, "with-token").headers if name.startswith("RateLimit")]


@pytest.mark.django_db
def test_a_browser_client_may_read_the_rate_limit(client: Client, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    response = client.get("/api/v1/token-optional", headers={"Origin": "https://app.example"})
    assert "RateLimit-Remaining" in response["Access-Control-Expose-Headers"]
