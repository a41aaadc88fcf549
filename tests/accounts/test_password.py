"""POST /auth/password"""

from __future__ import annotations

from typing import Any

import pytest

from accounts import services
from accounts.models import User
from tests.accounts.calls import PASSWORD, post, refresh, signed_in, works
from tests.api.shape import check_shape
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
NEW = "an even better one"


def change(access: str | None, current: Any = PASSWORD, new: Any = NEW) -> Any:
    return post("auth/password", {"current_password": current, "new_password": new}, access)


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", password=PASSWORD)


@pytest.mark.django_db(transaction=True)  # caches are dropped on commit
def test_it_changes_the_password_and_ends_all_other_sessions(alice: User) -> None:
    own, others = signed_in(alice), [signed_in(alice) for _ in range(3)]
    assert all(works(tokens.access) for tokens in others)
    answer = change(own.access)
    assert (answer.status_code, answer.content) == (204, b"")
    assert services.verify_password("alice", NEW)
    assert not services.verify_password("alice", PASSWORD)
    assert works(own.access)
    assert refresh(own.refresh).status_code == 200
    for tokens in others:
        assert not works(tokens.access)
        check_shape(refresh(tokens.refresh), 401)


def test_a_wrong_current_password_changes_nothing(alice: User) -> None:
    own, other = signed_in(alice), signed_in(alice)
    error = check_shape(change(own.access, current="wrong"), 400, "wrong_password")
    assert error["attr"] == "current_password"
    assert services.verify_password("alice", PASSWORD)
    assert works(other.access)


@pytest.mark.parametrize("new", ["short", "12345678901", "password1", "alice123", "", None, 5, [], "x" * 1_025])
def test_a_bad_new_password_is_a_400(alice: User, new: Any) -> None:
    assert check_shape(change(signed_in(alice).access, new=new), 400)["attr"] == "new_password"
    assert services.verify_password("alice", PASSWORD)


def test_it_needs_a_token(alice: User) -> None:
    check_shape(change(None), 401, "not_authenticated")


def test_an_account_without_a_password_cannot_set_one_here() -> None:
    check_shape(change(signed_in(UserFactory()).access), 400, "wrong_password")


def test_of_two_changes_at_once_the_second_fails(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    hash_password = services.make_password

    def overtaken(raw: str) -> str:
        User.objects.filter(pk=alice.pk).update(password=hash_password("from elsewhere"))
        return hash_password(raw)

    monkeypatch.setattr(services, "make_password", overtaken)
    with pytest.raises(services.WrongPassword):
        services.change_password(alice.pk, PASSWORD, NEW, keep_session=None)
    assert services.verify_password("alice", "from elsewhere")
