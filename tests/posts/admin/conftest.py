"""A moderator, signed in."""

from __future__ import annotations

import pytest

from tests.staff import Staff


@pytest.fixture
def moderator() -> Staff:
    return Staff("Moderator", username="mod")
