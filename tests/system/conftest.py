"""Tests against real processes. All share one set of data services and, on top of it, one running system.

A test creates its own users and tolerates other data. The order is: tests of the data services alone, tests of the
running system, tests that restart one of its programs with other settings, tests that kill parts of it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instafeed.devstack.data_services import DataServices
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services

NewDirectory = Callable[[], Path]
TIMEOUT = 600  # seconds, against hanging; a busy machine needs a minute to start everything
_HERE = Path(__file__).parent
_MARKERS = ("restarts_a_program", "kills_a_part")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests with shared services in one worker, in stages. Runs first, because xdist reads the marks."""
    for item in items:
        if _HERE not in item.path.parents:
            continue
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT))
        if "data_services" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("system"))
    items.sort(key=_stage)


def _stage(item: pytest.Item) -> int:
    """The sort keeps the order within a stage. pytest-randomly, a wrapper, has shuffled the tests before."""
    if _HERE not in item.path.parents or "live_stack" not in getattr(item, "fixturenames", ()):
        return 0
    return 1 + max((1 + _MARKERS.index(name) for name in _MARKERS if item.get_closest_marker(name)), default=0)


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


@pytest.fixture(scope="session")
def data_services() -> Iterator[DataServices]:
    """One primary with a replica, cache and broker. A test may pause and restart them, and leaves them running."""
    with prebuilt_services() as services:
        yield services


@pytest.fixture(scope="session")
def live_stack(data_services: DataServices) -> Iterator[LiveStack]:
    """The running system, with a low celebrity threshold and without rate limits."""
    with LiveStack(data_services, CELEBRITY_THRESHOLD="5", LOG_LEVEL="INFO") as stack:
        yield stack
