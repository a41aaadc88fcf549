"""Directories and throw-away data services for tests of the stack."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instafeed.devstack.data_services import DataServices

NewDirectory = Callable[[], Path]


@pytest.fixture(scope="session")
def new_directory() -> Iterator[NewDirectory]:
    """Create empty directories.

    Not tmp_path: under root, PostgreSQL runs as another account, to which the stack opens the parent directories, and
    pytest closes those again when a second session starts.
    """
    directories: list[Path] = []

    def create() -> Path:
        directories.append(Path(tempfile.mkdtemp(prefix="instafeed-stack-")))
        return directories[-1]

    yield create
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def directory(new_directory: NewDirectory) -> Path:
    return new_directory()


@pytest.fixture(scope="module")
def services(data_services: DataServices) -> Iterator[DataServices]:
    """The system's data services. The application's database may hold the table `marks` meanwhile."""
    yield data_services
    with data_services.primary.connect(data_services.primary.url()) as connection:
        connection.execute("DROP TABLE IF EXISTS marks")
