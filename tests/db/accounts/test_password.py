"""POST /auth/password"""

from __future__ import annotations

from typing import Any

import pytest

from accounts import services
from accounts.models import User
from tests.db.accounts.auth_client import PASSWORD, is_token_accepted, post, refresh, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "an even better one"


def change_password(access: str | None, current: Any = PASSWORD, new: Any = NEW_PASSWORD) -> Any:
    return post("auth/password", {"current_password": current, "new_password": new}, access)


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", password=PASSWORD)


def test_change_ends_all_other_sessions(alice: User) -> None:
    own, others = start_session(alice), [start_session(alice) for _ in range(3)]
    assert all(is_token_accepted(tokens.access) for tokens in others)
    response = change_password(own.access)
    assert (response.status_code, response.content) == (204, b"")
    assert services.verify_password(services.find_account("alice"), NEW_PASSWORD)
    assert not services.verify_password(services.find_account("alice"), PASSWORD)
    assert is_token_accepted(own.access)
    assert refresh(own.refresh).status_code == 200
    for tokens in others:
        assert not is_token_accepted(tokens.access)
        assert_error(refresh(tokens.refresh), 401)


def test_wrong_current_password_is_400(alice: User) -> None:
    own, other = start_session(alice), start_session(alice)
    error = assert_error(change_password(own.access, current="wrong"), 400, "wrong_password")
    assert error["attr"] == "current_password"
    assert services.verify_password(services.find_account("alice"), PASSWORD)
    assert is_token_accepted(other.access)


@pytest.mark.parametrize("new", ["short", "12345678901", "password1", "alice123", "", None, 5, [], "x" * 1_025])
def test_weak_new_password_is_400(alice: User, new: Any) -> None:
    assert assert_error(change_password(start_session(alice).access, new=new), 400)["attr"] == "new_password"
    assert services.verify_password(services.find_account("alice"), PASSWORD)


def test_token_is_required(alice: User) -> None:
    assert_error(change_password(None), 401, "not_authenticated")


def test_account_without_password_cannot_set_one() -> None:
    assert_error(change_password(start_session(UserFactory()).access), 400, "wrong_password")


def test_concurrent_change_fails(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hash_password = services.make_password

    def hash_after_another_change(raw: str) -> str:
        User.objects.filter(pk=alice.pk).update(password=hash_password("from elsewhere"))
        return hash_password(raw)

    monkeypatch.setattr(services, "make_password", hash_after_another_change)
    with pytest.raises(services.WrongPassword):
        services.change_password(alice.pk, PASSWORD, NEW_PASSWORD, keep_session=None)
    assert services.verify_password(services.find_account("alice"), "from elsewhere")
