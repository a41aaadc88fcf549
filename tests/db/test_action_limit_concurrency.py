"""Limits of actions that a user does at the same time."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from pytest_django import Settings

from accounts.signals import privacy_changed
from tests.support.api_user import ApiUser
from tests.support.concurrency import run_concurrently

LIMIT = 2


@pytest.mark.django_db(transaction=True)
def test_concurrent_privacy_changes_are_all_counted(settings: Settings) -> None:
    """The state that a request finds when it begins may be another one when its turn comes."""
    user = ApiUser()
    settings.THROTTLES = settings.THROTTLES | {"privacy": f"{LIMIT}/hour"}
    flips = [partial(user.call, "patch", "/me", {"is_private": is_private}) for is_private in (True, False) * 2]
    published: list[int] = []

    def count(user_id: int, is_private: bool, **_: Any) -> None:
        if not is_private:
            published.append(user_id)

    privacy_changed.connect(count)
    try:
        codes = [answer.status_code for _ in range(6) for answer in run_concurrently(flips)]
    finally:
        privacy_changed.disconnect(count)
    assert set(codes) == {200, 429}
    assert len(published) == LIMIT
