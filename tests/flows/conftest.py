"""End-to-end tests against a running stack: HTTP, PostgreSQL and its replica, both Redis servers, Celery.

Most tests share one stack and therefore one xdist worker. Each creates its own users and tolerates other data.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_stack import LiveStack

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of a stack in one worker. Runs first, because the marks must be set before xdist reads them."""
    for item in items:
        if _HERE in item.path.parents:
            stacks = [name for name in getattr(item, "fixturenames", ()) if name.endswith("_stack")]
            item.add_marker(pytest.mark.xdist_group(stacks[0] if stacks else "live_stack"))


@pytest.fixture(scope="package")
def live_stack() -> Iterator[LiveStack]:
    """An empty stack with a low celebrity threshold. It stops after the last test of this package to free memory."""
    stack = LiveStack(None, "--web-workers", "2", "--celery-workers", "2", CELEBRITY_THRESHOLD="5", LOG_LEVEL="INFO")
    try:
        yield stack.start()
    finally:
        stack.close()
