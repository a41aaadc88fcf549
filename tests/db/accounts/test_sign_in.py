"""POST /auth/token"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import services, sessions
from accounts.tokens import TokenRefused
from tests.db.accounts.auth_client import PASSWORD, get, is_token_accepted, post
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.redis_round_trips import count_round_trips

pytestmark = pytest.mark.django_db


def sign_in(username: Any, password: Any = PASSWORD) -> Any:
    return post("auth/token", {"username": username, "password": password})


@pytest.mark.parametrize(
    "username", ["alice", "ALICE", " alice ", "Alice@example.org", "alice@EXAMPLE.org", " alice@example.org "]
)
def test_sign_in_with_username_or_address_returns_tokens(username: str) -> None:
    UserFactory(username="alice", email="Alice@example.org", email_verified=True, password=PASSWORD)
    response = sign_in(username)
    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}
    assert get("me", response.json()["access"]).json()["username"] == "alice"


def test_an_address_signs_in_to_the_account_that_has_verified_it() -> None:
    """Others may claim it."""
    UserFactory(username="mallory", email="alice@example.org", password="another password")
    assert sign_in("alice@example.org", "another password").status_code == 401
    UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)
    assert sign_in("alice@example.org", "another password").status_code == 401
    assert sign_in("alice@example.org").status_code == 200


def test_wrong_password_and_unknown_user_get_the_same_answer() -> None:
    UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)
    UserFactory(username="imported", email="")
    responses = [
        sign_in("alice", "wrong"),
        sign_in("unknown", "wrong"),
        sign_in("imported", ""),
        sign_in("\u212a", "x"),
        sign_in("alice@example.org", "wrong"),
        sign_in("unknown@example.org", "wrong"),
        sign_in("@", "wrong"),
    ]
    responses[2] = sign_in("imported", "wrong")
    assert_error(responses[0], 401, "wrong_credentials")
    assert len({response.content for response in responses}) == 1
    assert all(response["WWW-Authenticate"].startswith("Bearer") for response in responses)


def test_every_refused_attempt_does_the_same_work(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """So its time does not tell which usernames and addresses have an account."""
    settings.THROTTLES = settings.THROTTLES | {"login": "100/hour", "login_address": "100/hour"}
    UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)
    UserFactory(username="imported", email="imported@example.org", email_verified=True)
    UserFactory(username="suspended", password=PASSWORD, is_active=False)
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def count(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", count)
    sign_in("unknown", "wrong")  # loads the Lua scripts, which costs the first caller a round trip
    work = {}
    names = ["alice", "imported", "suspended", "unknown", "no such name!"]
    for name in (*names, "alice@example.org", "imported@example.org", "unknown@example.org", "@"):
        hashed.clear()
        with CaptureQueriesContext(connection) as queries, count_round_trips() as round_trips:
            assert sign_in(name, "wrong").status_code == 401
        work[name] = (len(queries), tuple(round_trips), len(hashed))
    assert set(work.values()) == {(1, work["alice"][1], 1)}, work


def test_suspended_user_gets_the_same_answer() -> None:
    user = UserFactory(username="alice", password=PASSWORD)
    services.suspend(user.pk)
    assert sign_in("alice").content == sign_in("unknown").content


@pytest.mark.parametrize("username", [None, "", 5, True, [], {}, "x" * 255])
def test_invalid_username_value_is_400(username: Any) -> None:
    assert assert_error(sign_in(username), 400)["attr"] == "username"


@pytest.mark.parametrize("password", [None, "", 5, True, [], {}, "x" * 1_025])
def test_invalid_password_value_is_400(password: Any) -> None:
    assert assert_error(sign_in("alice", password), 400)["attr"] == "password"


def test_sessions_are_independent() -> None:
    UserFactory(username="alice", password=PASSWORD)
    first, second = sign_in("alice").json(), sign_in("alice").json()
    assert is_token_accepted(first["access"])
    assert is_token_accepted(second["access"])


def test_no_session_if_password_changed_meanwhile() -> None:
    user = UserFactory(username="alice", password=PASSWORD)
    assert services.verify_password(user, PASSWORD)
    services.change_password(user.pk, PASSWORD, "another password", keep_session=None)
    with pytest.raises(TokenRefused):
        sessions.start(user)


def test_no_session_if_suspended_meanwhile() -> None:
    user = UserFactory(username="alice", password=PASSWORD)
    assert services.verify_password(user, PASSWORD)
    services.suspend(user.pk)
    with pytest.raises(TokenRefused):
        sessions.start(user)
