"""POST /auth/logout"""

from __future__ import annotations

from typing import Any

import pytest

from tests.accounts.calls import post, refresh, signed_in, works
from tests.api.shape import check_shape
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def logout(token: Any, access: str | None = None) -> Any:
    return post("auth/logout", {"refresh": token}, access)


@pytest.mark.django_db(transaction=True)  # caches are dropped on commit
def test_it_ends_the_session_at_once() -> None:
    user = UserFactory()
    tokens, other = signed_in(user), signed_in(user)
    assert works(tokens.access)
    answer = logout(tokens.refresh)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not works(tokens.access)
    check_shape(refresh(tokens.refresh), 401)
    assert works(other.access)


def test_it_needs_no_access_token_and_minds_no_bad_one() -> None:
    user = UserFactory()
    assert logout(signed_in(user).refresh, "nonsense").status_code == 204
    tokens = signed_in(user)
    assert logout(tokens.refresh, tokens.access).status_code == 204


def test_again_is_fine() -> None:
    tokens = signed_in(UserFactory())
    assert [logout(tokens.refresh).status_code for _ in range(2)] == [204, 204]


@pytest.mark.django_db(transaction=True)  # caches are dropped on commit
def test_a_used_refresh_token_ends_the_session_too() -> None:
    tokens = signed_in(UserFactory())
    following = refresh(tokens.refresh).json()
    assert logout(tokens.refresh).status_code == 204
    assert not works(following["access"])


def test_it_works_for_a_user_who_is_gone() -> None:
    user = UserFactory()
    tokens = signed_in(user)
    user.delete()
    assert logout(tokens.refresh).status_code == 204


def test_an_access_token_cannot_sign_out() -> None:
    tokens = signed_in(UserFactory())
    check_shape(logout(tokens.access), 401)
    assert works(tokens.access)


@pytest.mark.parametrize(("token", "status"), [("nonsense", 401), ("", 400), (None, 400), (5, 400), ([], 400)])
def test_garbage_is_refused(token: Any, status: int) -> None:
    check_shape(logout(token), status)
