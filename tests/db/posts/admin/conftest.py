"""Fixture: a moderator who is signed in."""

from __future__ import annotations

import pytest

from tests.support.staff import StaffMember


@pytest.fixture
def moderator() -> StaffMember:
    return StaffMember("Moderator", username="mod")
