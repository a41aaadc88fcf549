from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import clear_url_caches
from pytest_django import Settings

from tests.support.api_user import ApiUser


@pytest.fixture
def empty_storage(settings: Settings, tmp_path: Path) -> None:
    """An empty storage, so that a test can assert what is left in it."""
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def author() -> ApiUser:
    return ApiUser()


@pytest.fixture
def reader(author: ApiUser) -> ApiUser:
    """A follower of the author."""
    reader = ApiUser()
    reader.follow(author)
    return reader


@pytest.fixture
def served_files(settings: Settings) -> Iterator[None]:
    """The app serves the storage's files, as in the embedded stack."""
    settings.ROOT_URLCONF = "tests.db.media.storage.urls"
    clear_url_caches()
    yield
    clear_url_caches()
