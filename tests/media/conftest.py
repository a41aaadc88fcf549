from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.posts.api_user import ApiUser


@pytest.fixture
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    """An empty one, so that a test can say what is left."""
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def author() -> ApiUser:
    return ApiUser()


@pytest.fixture
def reader(author: ApiUser) -> ApiUser:
    """Follows the author."""
    reader = ApiUser()
    reader.follow(author)
    return reader
