"""Tests with PostgreSQL and Redis. A test's rows are rolled back; only tests that need real commits delete theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.commits import commits_run_callbacks


@pytest.fixture(autouse=True)
def _commits_run_callbacks(request: pytest.FixtureRequest) -> Iterator[None]:
    marked = request.node.get_closest_marker("django_db")
    if marked is None or marked.kwargs.get("transaction"):
        yield
        return
    request.getfixturevalue("db")
    with commits_run_callbacks():
        yield
