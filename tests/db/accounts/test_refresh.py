"""POST /auth/token/refresh: tokens rotate, and reuse of a token ends its session."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts import services, sessions
from accounts.models import Session
from accounts.tokens import Tokens
from tests.db.accounts.auth_client import is_token_accepted, refresh, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(payload: dict[str, Any], key: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key or django_settings.SECRET_KEY, algorithm=algorithm)


def claims_of(tokens: Tokens) -> dict[str, Any]:
    """Return the claims of the refresh token. `forged(claims_of(tokens))` is valid."""
    return jwt.decode(tokens.refresh, django_settings.SECRET_KEY, algorithms=["HS256"])


def test_tokens_rotate() -> None:
    tokens = start_session(UserFactory())
    seen = {tokens.refresh}
    token = tokens.refresh
    for _ in range(3):
        response = refresh(token)
        assert response.status_code == 200
        assert set(response.json()) == {"access", "refresh"}
        assert is_token_accepted(response.json()["access"])
        token = response.json()["refresh"]
        seen.add(token)
    assert len(seen) == 4
    assert Session.objects.count() == 1


def test_reuse_ends_the_whole_session() -> None:
    user = UserFactory()
    other = start_session(user)
    first = start_session(user)
    second = refresh(first.refresh).json()
    third = refresh(second["refresh"]).json()
    assert all(map(is_token_accepted, (first.access, second["access"], third["access"])))
    assert_error(refresh(first.refresh), 401, "token_not_valid")
    assert_error(refresh(third["refresh"]), 401, "token_not_valid")
    assert not any(map(is_token_accepted, (first.access, second["access"], third["access"])))
    assert is_token_accepted(other.access)
    assert refresh(other.refresh).status_code == 200


def test_reuse_does_not_affect_other_sessions() -> None:
    user = UserFactory()
    old = start_session(user)
    refresh(refresh(old.refresh).json()["refresh"])
    assert_error(refresh(old.refresh), 401)
    new = start_session(user)
    refresh(old.refresh)
    assert is_token_accepted(new.access)
    assert refresh(new.refresh).status_code == 200


def test_the_token_just_before_returns_the_same_successor_for_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = start_session(UserFactory())
    first, second = refresh(tokens.refresh), refresh(tokens.refresh)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["refresh"] == second.json()["refresh"]
    assert is_token_accepted(first.json()["access"])
    assert is_token_accepted(second.json()["access"])
    monkeypatch.setattr(sessions, "REUSE_GRACE", timedelta(seconds=10))
    Session.objects.update(refreshed_at=timezone.now() - timedelta(seconds=10))
    assert_error(refresh(tokens.refresh), 401, "token_not_valid")
    assert_error(refresh(first.json()["refresh"]), 401, "token_not_valid")
    assert not is_token_accepted(first.json()["access"])


def test_an_older_token_ends_the_session_at_once() -> None:
    tokens = start_session(UserFactory())
    newest = refresh(refresh(tokens.refresh).json()["refresh"]).json()
    assert_error(refresh(tokens.refresh), 401, "token_not_valid")
    assert not is_token_accepted(newest["access"])


def test_refresh_is_refused_while_suspended() -> None:
    user = UserFactory()
    tokens = start_session(user)
    services.suspend(user.pk)
    assert_error(refresh(tokens.refresh), 401)
    services.reinstate(user.pk)
    assert refresh(tokens.refresh).status_code == 200


def test_refresh_of_deleted_user_is_refused() -> None:
    user = UserFactory()
    tokens = start_session(user)
    user.delete()
    assert_error(refresh(tokens.refresh), 401)


def test_other_token_types_are_refused() -> None:
    user = UserFactory()
    tokens = start_session(user)
    assert_error(refresh(tokens.access), 401)
    assert_error(refresh(str(RefreshToken.for_user(user))), 401)  # valid, but without a session
    assert_error(refresh(str(AccessToken.for_user(user))), 401)
    assert refresh(tokens.refresh).status_code == 200


def test_an_expired_token_is_refused() -> None:
    tokens = start_session(UserFactory())
    past = int((timezone.now() - timedelta(seconds=2)).timestamp())
    assert_error(refresh(forged(claims_of(tokens) | {"exp": past})), 401)
    assert is_token_accepted(tokens.access)


def test_token_of_another_users_session_is_refused() -> None:
    alice, bob = UserFactory.create_batch(2)
    hers, his = start_session(alice), start_session(bob)
    assert_error(refresh(forged(claims_of(hers) | {"sid": claims_of(his)["sid"]})), 401)
    assert refresh(forged(claims_of(his))).status_code == 200


EXPIRES = int((timezone.now() + timedelta(days=1)).timestamp())
CLAIMS = {"token_type": "refresh", "exp": EXPIRES, "jti": "x", "user_id": "1", "sid": 1}


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "a.b.c",
        "...",
        "é.é.é",
        "x" * 100_000,
        encode(b'{"alg":' + b"[" * 1_200) + ".e30.e30",
        encode(b'{"alg":"none"}') + "." + encode(b"{}") + ".",
        encode(b'{"alg":"HS256","kid":5}') + "." + encode(b"\xff") + ".e30",
        forged(CLAIMS, "another key, which is long enough for HS256"),
        forged(CLAIMS, algorithm="HS384"),
        forged({**CLAIMS, "user_id": None}),
        forged({**CLAIMS, "user_id": "x"}),
        forged({**CLAIMS, "user_id": [1]}),
        forged({**CLAIMS, "user_id": "9" * 30}),
        forged({**CLAIMS, "user_id": "-1"}),
        forged({**CLAIMS, "sid": "1"}),
        forged({**CLAIMS, "sid": None}),
        forged({**CLAIMS, "sid": 2**70}),
        forged({**CLAIMS, "jti": None}),
        forged({**CLAIMS, "jti": "a\0b"}),
        forged({**CLAIMS, "exp": "soon"}),
        forged({**CLAIMS, "exp": 10**30}),
        forged({key: value for key, value in CLAIMS.items() if key != "exp"}),
        forged({key: value for key, value in CLAIMS.items() if key != "jti"}),
        forged({key: value for key, value in CLAIMS.items() if key != "user_id"}),
        forged({key: value for key, value in CLAIMS.items() if key != "token_type"}),
        forged({}),
    ],
    ids=range(27),
)
def test_malformed_and_forged_tokens_are_401(token: str) -> None:
    response = refresh(token)
    assert_error(response, 401, "token_not_valid")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("token", [None, "", 5, True, [], {}, ["x"]])
def test_non_text_token_is_400(token: Any) -> None:
    assert assert_error(refresh(token), 400)["attr"] == "refresh"
