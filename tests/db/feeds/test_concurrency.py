"""Races of operators and of readers, on several database connections."""

from __future__ import annotations

from functools import partial

import pytest

from accounts.models import AuditEntry
from feeds import admin_actions, backfill, timeline_store
from feeds.admin_actions import ResumeResult
from feeds.models import FanOut
from instafeed.core.jobs.leased import JobState
from tests.db.feeds.feed_setup import create_old_posts, create_posts, create_users, follow, read_feed
from tests.support.concurrency import run_concurrently
from tests.support.factories import UserFactory
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_one_of_two_concurrent_operators_requeues() -> None:
    (dead,) = create_posts(UserFactory())
    FanOut.objects.filter(pk=dead).update(state=JobState.DEAD)
    operators = [create_staff(), create_staff()]
    results = run_concurrently([partial(admin_actions.resume_fan_outs, [dead], operator) for operator in operators])
    assert sorted(results, key=lambda result: result.requeued) == [ResumeResult(0, 1, 0), ResumeResult(1, 0, 0)]
    assert AuditEntry.objects.count() == 1


def test_concurrent_readers_of_a_cold_feed_share_one_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = create_users(2)
    expected = create_old_posts(author, 5)
    follow(author, viewer)
    loads: list[int] = []
    load = backfill.load_home_timeline

    def count_and_load(viewer_id: int) -> timeline_store.Timeline:
        loads.append(viewer_id)
        return load(viewer_id)

    monkeypatch.setattr(backfill, "load_home_timeline", count_and_load)
    assert run_concurrently([partial(read_feed, viewer, 3)] * 6) == [expected] * 6
    assert len(loads) == 1
