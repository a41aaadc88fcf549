"""The outbox of fan-outs: exclusive claims, retries with backoff, and dead letters."""

from __future__ import annotations

import pytest
import redis
from pytest_django import DjangoAssertNumQueries

from feeds import fanout_outbox, timeline_store
from feeds.fanout_outbox import Progress
from feeds.models import FanOut
from instafeed.core.jobs.leased import JobState, Outcome
from tests.db.feeds.feed_setup import (
    claim,
    create_posts,
    create_users,
    deliver,
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
    assert claim(post_id)
    assert claim(post_id) is None
    assert not fanout_outbox.queue.has_due()


def test_claim_is_one_statement_and_tells_whether_more_may_be_due(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    posts = create_posts(UserFactory(), 3)
    with django_assert_num_queries(1):
        assert ids_of(fanout_outbox.claim_due(2)) == (posts[:2], True)
    with django_assert_num_queries(1):
        (claimed,), has_more = fanout_outbox.claim_due(2)
        assert (claimed.pk, claimed.post.media_pending, has_more) == (posts[2], False, False)
    with django_assert_num_queries(1):
        assert fanout_outbox.claim_due(2) == ([], False)
    assert claimed.due_at < get_fan_out(posts[2]).due_at, "it keeps its place if the round does not reach it"


def test_failed_fan_out_is_claimed_without_others() -> None:
    posts = create_posts(UserFactory(), 3)
    FanOut.objects.filter(pk=posts[1]).update(attempts=1)
    assert ids_of(fanout_outbox.claim_due(9)) == ([posts[0], posts[2]], True)
    assert ids_of(fanout_outbox.claim_due(9)) == ([posts[1]], False)


def ids_of(claim: tuple[list[FanOut], bool]) -> tuple[list[int], bool]:
    fan_outs, has_more = claim
    return [fan_out.pk for fan_out in fan_outs], has_more


def test_lost_claim_cannot_write() -> None:
    (post_id,) = create_posts(UserFactory())
    lost = claim(post_id)
    assert lost
    make_overdue(post_id)
    current = claim(post_id)
    assert current
    assert not fanout_outbox.mark_done([Progress(lost)])
    assert not fanout_outbox.checkpoint([Progress(lost)])
    assert get_fan_out(post_id).state == JobState.RUNNING
    assert fanout_outbox.mark_done([Progress(current)]) == 1


def test_fan_out_of_a_dead_worker_is_finished_by_another() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    assert claim(post_id)
    make_overdue(post_id)
    assert fanout_outbox.queue.has_due()
    assert deliver(post_id) is Outcome.FINISHED
    assert (get_fan_out(post_id).state, get_fan_out(post_id).attempts) == (JobState.DONE, 1)
    assert read_feed(follower) == [post_id]


def test_failures_in_a_row_make_a_dead_letter_that_can_be_requeued(monkeypatch: pytest.MonkeyPatch) -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    monkeypatch.setattr(timeline_store, "push_to_home_timelines", lambda *_: 1 / 0)
    for _ in range(fanout_outbox.MAX_ATTEMPTS):
        assert deliver(post_id) is Outcome.FAILED
        assert get_fan_out(post_id).state == JobState.PENDING
        make_overdue(post_id)
    assert deliver(post_id) is Outcome.FAILED
    assert get_fan_out(post_id).state == JobState.DEAD
    assert "ZeroDivisionError" in get_fan_out(post_id).error
    assert not fanout_outbox.queue.has_due()
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
        assert deliver(post_id) is Outcome.POSTPONED
        make_overdue(post_id)
    assert (get_fan_out(post_id).state, get_fan_out(post_id).attempts) == (JobState.PENDING, 0)


def test_workers_that_keep_dying_make_a_dead_letter() -> None:
    (post_id,) = create_posts(UserFactory())
    for _ in range(fanout_outbox.MAX_ATTEMPTS + 1):
        assert claim(post_id)
        make_overdue(post_id)
    assert claim(post_id) is None
    assert get_fan_out(post_id).state == JobState.DEAD


def test_checkpoint_resets_attempts() -> None:
    (post_id,) = create_posts(UserFactory())
    FanOut.objects.filter(pk=post_id).update(attempts=fanout_outbox.MAX_ATTEMPTS)
    fan_out = claim(post_id)
    assert fan_out
    assert fanout_outbox.checkpoint([Progress(fan_out)])
    assert get_fan_out(post_id).attempts == 0
