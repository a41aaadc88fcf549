from __future__ import annotations

import pytest

from accounts.models import User
from tests.db.accounts.auth_client import PASSWORD
from tests.support.factories import UserFactory
from tests.support.populated_account import populate_account
from tests.support.staff import StaffMember


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)


@pytest.fixture
def others(alice: User) -> list[User]:
    return populate_account(alice)


@pytest.fixture
def superuser() -> StaffMember:
    return StaffMember(is_superuser=True, username="root")


@pytest.fixture
def moderator() -> StaffMember:
    return StaffMember("Moderator", username="mod")


@pytest.fixture
def operator() -> StaffMember:
    return StaffMember("Operator", username="op")
