"""Authentication by bearer token: no SQL when cached, and refused at once when revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import AccessToken

from accounts import auth_cache, services, sessions
from accounts.authentication import TokenAuthentication
from accounts.models import Session, User
from instafeed.core.cache import client as cache
from instafeed.core.cache import keys
from instafeed.core.db.replicas import session as replica_session
from tests.db.accounts.auth_client import get, is_token_accepted, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.support.urls")]


def authenticate(header: str) -> Any:
    request = RequestFactory().get("/", headers={"authorization": header} if header else {})
    return TokenAuthentication().authenticate(APIView().initialize_request(request))


def test_cached_token_needs_no_sql(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    user = UserFactory(is_private=True)
    header = f"Bearer {start_session(user).access}"
    with django_assert_num_queries(1):
        authenticate(header)
    with django_assert_num_queries(0):
        found, token = authenticate(header)
        assert isinstance(found, User)
        assert (found.pk, found.username, found.is_private) == (user.pk, user.username, True)
        assert found.is_authenticated
        assert found.is_active
        assert not found.is_staff
        assert found == user
    assert token["user_id"] == str(user.pk)


def test_deferred_fields_are_loaded_on_access() -> None:
    user = UserFactory(bio="hello")
    assert authenticate(f"Bearer {start_session(user).access}")[0].bio == "hello"


def test_scheme_is_case_insensitive() -> None:
    access = start_session(UserFactory()).access
    assert authenticate(f"bearer {access}")
    assert authenticate(f"BEARER   {access}")


@pytest.mark.parametrize("header", ["", "Basic dXNlcjpwYXNz", "Token abc", "abc"])
def test_no_bearer_token_is_anonymous(header: str) -> None:
    assert authenticate(header) is None


@pytest.mark.parametrize("path", ["with-token", "token-optional"])
@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "a b",
        "é",
        "W1tbW1tbW1tbW1tbW1tb.e30.e30",
        "x" * 5_000,
        "W1tb" * 500 + ".e30.e30",
    ],
)
def test_invalid_token_is_401_on_public_paths_too(path: str, token: str) -> None:
    response = get(path, token)
    assert_error(response, 401, "token_not_valid")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_empty_token_is_refused() -> None:
    with pytest.raises(Exception, match="invalid or expired"):
        authenticate("Bearer")


def test_an_expired_token_is_refused() -> None:
    token = AccessToken.for_user(UserFactory())
    assert get("with-token", str(token)).status_code == 200
    token.set_exp(lifetime=timedelta(seconds=-1))
    assert_error(get("with-token", str(token)), 401, "token_not_valid")


def test_refresh_token_is_not_an_access_token() -> None:
    assert_error(get("with-token", start_session(UserFactory()).refresh), 401, "token_not_valid")


def test_token_of_deleted_user_is_refused() -> None:
    user = UserFactory()
    access = start_session(user).access
    user.delete()
    assert_error(get("with-token", access), 401, "token_not_valid")


def test_suspension_and_reinstatement_take_effect_at_once() -> None:
    user = UserFactory()
    access = start_session(user).access
    assert get("with-token", access).status_code == 200
    services.suspend(user.pk)
    assert_error(get("with-token", access), 401, "user_inactive")
    assert_error(get("token-optional", access), 401, "user_inactive")
    services.reinstate(user.pk)
    assert get("with-token", access).status_code == 200


def test_the_oldest_session_ends_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    user, other = UserFactory(), start_session(UserFactory())
    tokens = [start_session(user) for _ in range(3)]
    assert all(is_token_accepted(token.access) for token in tokens)
    tokens.append(start_session(user))
    assert [is_token_accepted(token.access) for token in tokens] == [False, True, True, True]
    assert sessions.get_live(user.pk).count() == 3
    assert is_token_accepted(other.access)


def test_the_cached_state_stays_small_however_often_a_user_signs_in(redis_cache: redis.Redis) -> None:
    user = UserFactory()
    now = timezone.now()
    expiry = {"expires_at": now + timedelta(hours=1)}
    Session.objects.bulk_create(Session(user=user, refresh_jti="", ended_at=now, **expiry) for _ in range(1_000))
    Session.objects.bulk_create(Session(user=user, refresh_jti="", **expiry) for _ in range(1_000))
    tokens = start_session(user)
    assert is_token_accepted(tokens.access)
    assert redis_cache.strlen(keys.auth_state(user.pk)) < 100 + auth_cache.MAX_SESSIONS * 20
    assert sessions.get_live(user.pk).count() == auth_cache.MAX_SESSIONS


def test_sessions_that_start_after_the_state_was_cached_are_accepted_and_can_end() -> None:
    user = UserFactory()
    old = start_session(user)
    assert is_token_accepted(old.access)
    new = start_session(user)
    assert is_token_accepted(new.access)
    sessions.end(new.refresh)
    assert is_token_accepted(old.access)
    assert not is_token_accepted(new.access)


def test_database_fallback_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    user = UserFactory()
    access = start_session(user).access
    try:
        cache.record_failure(RuntimeError("unavailable"))
        assert get("with-token", access).status_code == 200
        services.suspend(user.pk)
        assert get("with-token", access).status_code == 401
    finally:
        cache.breaker.reset()


def test_state_is_cached_with_ttl(redis_cache: Any) -> None:
    user = UserFactory()
    get("with-token", start_session(user).access)
    assert 0 < redis_cache.ttl(keys.auth_state(user.pk)) <= keys.AUTH_STATE_TTL


def test_user_is_identified_to_the_replica_session() -> None:
    user = UserFactory()
    access = start_session(user).access
    state = replica_session.begin_session(is_write=False)
    try:
        authenticate(f"Bearer {access}")
        assert state.user_id == user.pk
    finally:
        replica_session.end_session()


def test_view_gets_user_and_token() -> None:
    user = UserFactory(username="alice")
    assert get("with-token", start_session(user).access).json() == {"user": "alice"}
    assert get("token-optional").json() == {"user": ""}
    assert isinstance(APIView().initialize_request(RequestFactory().get("/")), Request)
