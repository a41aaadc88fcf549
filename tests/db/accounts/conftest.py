from __future__ import annotations

import pytest

from accounts.models import User
from tests.db.accounts.auth_client import PASSWORD
from tests.support.factories import UserFactory
from tests.support.populated_account import populate_account


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)


@pytest.fixture
def others(alice: User) -> list[User]:
    return populate_account(alice)
