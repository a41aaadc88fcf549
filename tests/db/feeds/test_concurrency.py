"""Races of operators, workers and readers, and of posts and pins with celebrity transitions, on several connections."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import transaction

from accounts.models import AuditEntry, CelebrityState, User
from feeds import admin_actions, backfill, celebrity_transitions, fanout_outbox, timeline_store
from feeds.admin_actions import ResumeResult
from feeds.models import DeliveryMode, FanOut
from instafeed.core.jobs.leased import JobState
from posts.models import Post
from tests.db.feeds.feed_setup import (
    create_old_posts,
    create_posts,
    create_users,
    deliver_all,
    follow,
    get_fan_out,
    read_feed,
)
from tests.support.concurrency import close_connection_after, run_concurrently
from tests.support.eventually import eventually
from tests.support.factories import UserFactory
from tests.support.lock_waits import call_without_lock_waits, count_lock_waiters
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_one_of_two_concurrent_operators_requeues() -> None:
    (dead,) = create_posts(UserFactory())
    FanOut.objects.filter(pk=dead).update(state=JobState.DEAD)
    operators = [create_staff(), create_staff()]
    results = run_concurrently([partial(admin_actions.resume_fan_outs, [dead], operator) for operator in operators])
    assert sorted(results, key=lambda result: result.requeued) == [ResumeResult(0, 1, 0), ResumeResult(1, 0, 0)]
    assert AuditEntry.objects.count() == 1


def test_worker_claims_what_others_do_not_and_waits_for_none() -> None:
    posts = create_posts(UserFactory(), 3)
    with transaction.atomic():
        fanout_outbox.claim_due(2)
        (claim,) = run_concurrently([partial(call_without_lock_waits, claim_ids, 2)])
        assert claim == (posts[2:], False)


def claim_ids(limit: int) -> tuple[list[int], bool]:
    claimed, has_more = fanout_outbox.claim_due(limit)
    return [fan_out.pk for fan_out in claimed], has_more


def test_concurrent_readers_of_a_cold_feed_share_one_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = create_users(2)
    expected = create_old_posts(author, 5)
    follow(author, viewer)
    loads: list[Mapping[int, int]] = []
    load = backfill.load_home_timeline

    def count_and_load(authors: Mapping[int, int]) -> timeline_store.Timeline:
        loads.append(authors)
        return load(authors)

    monkeypatch.setattr(backfill, "load_home_timeline", count_and_load)
    assert run_concurrently([partial(read_feed, viewer, 3)] * 6) == [expected] * 6
    assert len(loads) == 1


def test_post_that_commits_during_a_demotion_is_in_the_followers_feeds() -> None:
    """The demotion waits for the post. Otherwise the post, which is not pushed, would no longer be pulled either."""
    author, follower = create_users(2)
    follow(author, follower)
    celebrity_transitions.promote([author.pk])
    read_feed(follower)

    def demote_and_read() -> None:
        celebrity_transitions.demote([author.pk])
        read_feed(follower)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            # Not by the service, which locks the author for another reason: to count the post.
            post_id = Post.objects.create(author=author, caption="pulled").pk
            demotion = pool.submit(close_connection_after, demote_and_read)
            eventually(lambda: count_lock_waiters() == 1 or demotion.done())
        demotion.result()
    assert get_fan_out(post_id).mode == DeliveryMode.PULL
    deliver_all()
    assert read_feed(follower) == [post_id]


def test_pin_that_commits_during_a_demotion_holds() -> None:
    """The demotion reads the pin under the row's lock."""
    author = UserFactory(celebrity_state=CelebrityState.CELEBRITY)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            User.objects.filter(pk=author.pk).update(celebrity_pin=True)
            demotion = pool.submit(close_connection_after, celebrity_transitions.demote, [author.pk])
            eventually(lambda: count_lock_waiters() == 1)
        assert demotion.result() == 0
    assert User.objects.get(pk=author.pk).celebrity_state == CelebrityState.CELEBRITY
