from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.urls import clear_url_caches
from pytest_django import Settings

from tests.db.media.storage.conftest import (  # noqa: F401  (fixtures: an S3 over HTTP, and a directory)
    bucket,
    cached_service_descriptions,
    credentials,
    directory,
    s3,
    s3_endpoint,
    use_bucket,
)


@pytest.fixture(params=["bucket", "directory"])
def each_backend(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue(request.param)
    return str(request.param)


@pytest.fixture
def served_files(settings: Settings) -> Iterator[None]:
    """The app serves the storage's files, as in the embedded stack."""
    settings.ROOT_URLCONF = "tests.db.media.storage.urls"
    clear_url_caches()
    yield
    clear_url_caches()
