"""The time of a refused sign-in does not tell whether an account exists."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from tests.db.accounts.auth_client import PASSWORD, post
from tests.support import timing
from tests.support.factories import UserFactory

MAX_RATIO = 1.15  # of medians; 39.0 to 39.4 ms were measured


@pytest.mark.parametrize(("known", "unknown"), [("alice", "unknown"), ("alice@example.org", "unknown@example.org")])
@pytest.mark.django_db
def test_known_and_unknown_names_take_as_long(settings: Settings, known: str, unknown: str) -> None:
    """Use the real hasher. Without a hash an unknown name would take a tenth."""
    settings.PASSWORD_HASHERS = ["accounts.hashers.PasswordHasher"]
    settings.THROTTLES = settings.THROTTLES | {"login": "10000/hour", "login_address": "10000/hour"}
    UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)

    def sign_in(name: str) -> None:
        assert post("auth/token", {"username": name, "password": "wrong"}).status_code == 401

    seconds = timing.sample_interleaved(lambda _: sign_in(known), lambda _: sign_in(unknown))
    assert not timing.differ(*seconds, MAX_RATIO), seconds
