"""POST /auth/token"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher

from accounts import services, sessions
from accounts.tokens import TokenRefused
from tests.db.accounts.auth_client import PASSWORD, get, is_token_accepted, post
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


def sign_in(username: Any, password: Any = PASSWORD) -> Any:
    return post("auth/token", {"username": username, "password": password})


@pytest.mark.parametrize("username", ["alice", "ALICE", " alice "])
def test_sign_in_returns_tokens(username: str) -> None:
    UserFactory(username="alice", password=PASSWORD)
    response = sign_in(username)
    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}
    assert get("me", response.json()["access"]).json()["username"] == "alice"


def test_wrong_password_and_unknown_user_get_the_same_answer() -> None:
    UserFactory(username="alice", password=PASSWORD)
    UserFactory(username="imported")
    responses = [
        sign_in("alice", "wrong"),
        sign_in("unknown", "wrong"),
        sign_in("imported", ""),
        sign_in("\u212a", "x"),
    ]
    responses[2] = sign_in("imported", "wrong")
    assert_error(responses[0], 401, "wrong_credentials")
    assert len({response.content for response in responses}) == 1
    assert all(response["WWW-Authenticate"].startswith("Bearer") for response in responses)


@pytest.mark.parametrize("username", ["alice", "imported", "suspended", "unknown", "no such name!"])
def test_every_attempt_hashes_once(username: str, monkeypatch: pytest.MonkeyPatch) -> None:
    UserFactory(username="alice", password=PASSWORD)
    UserFactory(username="imported")
    UserFactory(username="suspended", password=PASSWORD, is_active=False)
    hashed = []
    encode = MD5PasswordHasher.encode

    def count(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", count)
    assert sign_in(username, "wrong").status_code == 401
    assert len(hashed) == 1


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
    UserFactory(username="alice", password=PASSWORD)
    user = services.verify_password("alice", PASSWORD)
    assert user
    services.change_password(user.pk, PASSWORD, "another password", keep_session=None)
    with pytest.raises(TokenRefused):
        sessions.start(user)


def test_no_session_if_suspended_meanwhile() -> None:
    UserFactory(username="alice", password=PASSWORD)
    user = services.verify_password("alice", PASSWORD)
    assert user
    services.suspend(user.pk)
    with pytest.raises(TokenRefused):
        sessions.start(user)
