from __future__ import annotations

import pytest
from pytest_django import Settings

from accounts.models import User
from tests.db.accounts.auth_client import PASSWORD
from tests.support.factories import UserFactory
from tests.support.populated_account import populate_account


@pytest.fixture(autouse=True)
def _primary_only(settings: Settings) -> None:
    """Read only from the primary. Replicas have their own tests, and have no data of transactional tests."""
    settings.REPLICA_ALIASES = []


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.org", password=PASSWORD)


@pytest.fixture
def others(alice: User) -> list[User]:
    return populate_account(alice)
