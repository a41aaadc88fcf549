"""Tests with PostgreSQL and Redis. A test's rows are rolled back; only tests that need real commits delete theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.commits import savepoint_transactions


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tasks look for further work at once."""
    monkeypatch.setattr("social.notifications.consumer.WATCH_SECONDS", 0.0)
    monkeypatch.setattr("feeds.fanout_drain.WATCH_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _savepoint_transactions(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tested code commit, unless the test has no database or commits really."""
    marked = request.node.get_closest_marker("django_db")
    if marked is None or marked.kwargs.get("transaction"):
        yield
        return
    request.getfixturevalue("db")
    with savepoint_transactions():
        yield
