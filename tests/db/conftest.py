"""Tests with PostgreSQL and Redis. A test's rows are rolled back; only tests that need real commits delete theirs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings as django_settings

from accounts.mail import outbox as mail_outbox
from feeds import fanout_outbox, missed_buckets
from instafeed.backoffice.jobs import worker as operator_job_worker
from posts import purge
from social.notifications import outbox as notification_outbox
from social.push import outbox as push_outbox
from tests.support import database_cleanup
from tests.support.commits import savepoint_transactions

_SLICES = (
    "accounts.erasure_worker.SLICE_SECONDS",
    "feeds.fanout.ROUND_SECONDS",
    "feeds.fanout_drain.DRAIN_SECONDS",
    "instafeed.backoffice.jobs.worker.SLICE_SECONDS",
    "instafeed.backoffice.retention.SLICE_SECONDS",
    "instafeed.core.cache.invalidation.SWEEP_SECONDS",
    "instafeed.exports.worker.SLICE_SECONDS",
    "media.tasks.SLICE_SECONDS",
    "media.unpublish.JOIN_TIMEOUT",
    "social.notifications.consumer.SLICE_SECONDS",
    "social.request_acceptance.SLICE_SECONDS",
)
_SHORT_MARKS = (
    fanout_outbox.queue.task,
    mail_outbox.queue.task,
    missed_buckets.eviction_task,
    notification_outbox.consumer_task,
    operator_job_worker.queue.task,
    purge.purge_task,
    push_outbox.queue.task,
)


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    """Give work more time than in production, so that a machine that stands still for seconds changes no result.

    A slice then ends with its work, and marks, leases and the time for a repeated refresh do not expire before a test
    looks at them; and replicas stay in use. A patch of its own, as some tests undo theirs in the middle.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in _SLICES:
            patch.setattr(name, 60.0)
        for task in _SHORT_MARKS:
            patch.setattr(task, "mark_ttl", 600.0)
        patch.setattr("instafeed.core.cache.keys.LEASE_TTL_MS", 600_000)
        patch.setattr("instafeed.core.cache.keys.REBUILD_TTL_MS", 600_000)
        patch.setattr("accounts.sessions.REUSE_GRACE", timedelta(minutes=10))
        patch.setattr("instafeed.core.db.timeout_connection.CONNECT_TIMEOUT", 60)
        patch.setattr(django_settings, "REPLICA_MAX_LAG", 1_000)
        patch.setattr(django_settings, "REPLICA_STATEMENT_TIMEOUT", 60)
        yield


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


@pytest.fixture
def fresh_tables(db: None) -> None:
    """For tests of the planner's own choice. With `usefixtures`: it must come before fixtures that create rows."""
    database_cleanup.renew_files()
