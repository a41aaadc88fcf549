"""POST /auth/logout"""

from __future__ import annotations

from typing import Any

import pytest

from tests.db.accounts.auth_client import is_token_accepted, post, refresh, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


def logout(token: Any, access: str | None = None) -> Any:
    return post("auth/logout", {"refresh": token}, access)


def test_logout_ends_the_session_at_once() -> None:
    user = UserFactory()
    tokens, other = start_session(user), start_session(user)
    assert is_token_accepted(tokens.access)
    response = logout(tokens.refresh)
    assert (response.status_code, response.content) == (204, b"")
    assert not is_token_accepted(tokens.access)
    assert_error(refresh(tokens.refresh), 401)
    assert is_token_accepted(other.access)


def test_logout_ignores_access_token() -> None:
    user = UserFactory()
    assert logout(start_session(user).refresh, "nonsense").status_code == 204
    tokens = start_session(user)
    assert logout(tokens.refresh, tokens.access).status_code == 204


def test_logout_is_idempotent() -> None:
    tokens = start_session(UserFactory())
    assert [logout(tokens.refresh).status_code for _ in range(2)] == [204, 204]


def test_used_refresh_token_ends_the_session() -> None:
    tokens = start_session(UserFactory())
    following = refresh(tokens.refresh).json()
    assert logout(tokens.refresh).status_code == 204
    assert not is_token_accepted(following["access"])


def test_logout_of_deleted_user() -> None:
    user = UserFactory()
    tokens = start_session(user)
    user.delete()
    assert logout(tokens.refresh).status_code == 204


def test_access_token_cannot_log_out() -> None:
    tokens = start_session(UserFactory())
    assert_error(logout(tokens.access), 401)
    assert is_token_accepted(tokens.access)


@pytest.mark.parametrize(("token", "status"), [("nonsense", 401), ("", 400), (None, 400), (5, 400), ([], 400)])
def test_malformed_token_is_refused(token: Any, status: int) -> None:
    assert_error(logout(token), status)
