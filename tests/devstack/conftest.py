"""Directories and throw-away data services for the tests of the stack itself."""

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
    """Makes empty directories. Not tmp_path: under root PostgreSQL runs as another account, for which the
    parents are opened, and pytest closes them again when a second session starts."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="instafeed-stack-")))
        return made[-1]

    yield make
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def directory(new_directory: NewDirectory) -> Path:
    return new_directory()


@pytest.fixture(scope="session")
def services(new_directory: NewDirectory) -> Iterator[DataServices]:
    """One set for all tests that leave it running and streaming."""
    with DataServices(new_directory(), fsync=False) as services:
        yield services
