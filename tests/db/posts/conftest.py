"""Fixtures: an author and a reader."""

from __future__ import annotations

import pytest

from tests.support.api_user import ApiUser


@pytest.fixture
def author() -> ApiUser:
    return ApiUser()


@pytest.fixture
def reader() -> ApiUser:
    return ApiUser()
