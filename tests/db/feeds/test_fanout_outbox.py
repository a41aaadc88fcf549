"""The outbox of fan-outs: exclusive claims, retries with backoff, and dead letters."""

from __future__ import annotations

import pytest
import redis

from feeds import fanout, fanout_outbox, timeline_store
from feeds.models import FanOut
from instafeed.core.jobs.leased import JobState, Outcome
from tests.db.feeds.feed_setup import (
    create_posts,
    create_users,
    deliver_all,
    follow,
    get_fan_out,
    make_overdue,
    read_feed,
)
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_claim_is_exclusive() -> None:
    (post_id,) = create_posts(UserFactory())
    assert fanout_outbox.queue.claim(post_id)
    assert fanout_outbox.queue.claim(post_id) is None
    assert fanout_outbox.queue.claim_overdue(10) == []


def test_lost_claim_cannot_write() -> None:
    (post_id,) = create_posts(UserFactory())
    lost = fanout_outbox.queue.claim(post_id)
    assert lost
    make_overdue(post_id)
    current = fanout_outbox.queue.claim(post_id)
    assert current
    assert not fanout_outbox.mark_done(lost, 0)
    assert not fanout_outbox.checkpoint(lost, 99, 0)
    assert get_fan_out(post_id).state == JobState.RUNNING
    assert fanout_outbox.mark_done(current, 1)


def test_fan_out_of_a_dead_worker_is_finished_by_another() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    assert fanout_outbox.queue.claim(post_id)
    make_overdue(post_id)
    assert fanout_outbox.queue.claim_overdue(10) == [post_id]
    assert fanout.deliver_slice(post_id) is Outcome.FINISHED
    assert (get_fan_out(post_id).state, get_fan_out(post_id).attempts) == (JobState.DONE, 1)
    assert read_feed(follower) == [post_id]


def test_failures_in_a_row_make_a_dead_letter_that_can_be_requeued(monkeypatch: pytest.MonkeyPatch) -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    monkeypatch.setattr(timeline_store, "push_to_home_timelines", lambda *_: 1 / 0)
    for _ in range(fanout_outbox.MAX_ATTEMPTS):
        assert fanout.deliver_slice(post_id) is Outcome.FAILED
        assert get_fan_out(post_id).state == JobState.PENDING
        make_overdue(post_id)
    assert fanout.deliver_slice(post_id) is Outcome.FAILED
    assert get_fan_out(post_id).state == JobState.DEAD
    assert "ZeroDivisionError" in get_fan_out(post_id).error
    assert fanout_outbox.queue.claim_overdue(10) == []
    monkeypatch.undo()
    assert fanout_outbox.queue.requeue_dead_letters() == 1
    deliver_all()
    assert read_feed(follower) == [post_id]


def test_redis_outage_never_makes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    (post_id,) = create_posts(UserFactory())

    def fail(*_: object) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(timeline_store, "push_to_home_timelines", fail)
    for _ in range(2 * fanout_outbox.MAX_ATTEMPTS):
        assert fanout.deliver_slice(post_id) is Outcome.POSTPONED
        make_overdue(post_id)
    assert (get_fan_out(post_id).state, get_fan_out(post_id).attempts) == (JobState.PENDING, 0)


def test_workers_that_keep_dying_make_a_dead_letter() -> None:
    (post_id,) = create_posts(UserFactory())
    for _ in range(fanout_outbox.MAX_ATTEMPTS + 1):
        assert fanout_outbox.queue.claim(post_id)
        make_overdue(post_id)
    assert fanout_outbox.queue.claim(post_id) is None
    assert get_fan_out(post_id).state == JobState.DEAD


def test_checkpoint_resets_attempts() -> None:
    (post_id,) = create_posts(UserFactory())
    FanOut.objects.filter(pk=post_id).update(attempts=fanout_outbox.MAX_ATTEMPTS, dispatches=5)
    claim = fanout_outbox.queue.claim(post_id)
    assert claim
    assert fanout_outbox.checkpoint(claim, 7, 1)
    assert (get_fan_out(post_id).attempts, get_fan_out(post_id).dispatches) == (0, 5)
