"""The ledger as outbox: nothing is lost, whatever dies; nothing is done for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.db import transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from feeds import celebrity_transitions, fanout, fanout_outbox, rate_limiter, tasks, timeline_store
from feeds.fanout import SliceOutcome
from feeds.models import DeliveryMode, FanOut, State
from instafeed.core.cache import keys
from posts import purge
from posts import services as posts
from posts.models import Post
from tests.factories import UserFactory
from tests.feeds.feed_setup import create_posts, create_users, deliver_all, follow, read_feed

pytestmark = pytest.mark.django_db(transaction=True)


def overdue(post_id: int) -> None:
    FanOut.objects.filter(pk=post_id).update(due_at=timezone.now() - timedelta(seconds=1))


def row(post_id: int) -> FanOut:
    return FanOut.objects.get(pk=post_id)


def queued(broker: redis.Redis, queue: str = "fan_out") -> int:
    return broker.llen(queue)


def test_a_post_and_its_fan_out_commit_together_or_not_at_all() -> None:
    author = UserFactory()
    with transaction.atomic():
        posts.create_post(author.pk, "never")
        transaction.set_rollback(True)
    assert not Post.objects.exists()
    assert not FanOut.objects.exists()
    (post_id,) = create_posts(author)
    assert row(post_id).mode == DeliveryMode.PUSH


def test_a_plain_save_of_a_post_is_fanned_out_too(redis_broker: redis.Redis) -> None:
    post = Post.objects.create(author=UserFactory(), caption="from a shell")
    assert row(post.pk).state == State.PENDING
    assert queued(redis_broker) == 1
    post.caption = "edited"
    post.save()
    assert queued(redis_broker) == 1, "only a creation is fanned out"


def test_an_own_post_is_in_the_own_feed_at_once_and_elsewhere_after_its_fan_out() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    assert read_feed(author) == read_feed(follower) == []
    (post_id,) = create_posts(author)
    assert read_feed(author) == [post_id]
    assert read_feed(follower) == []
    deliver_all()
    assert read_feed(follower) == [post_id]


def test_a_slice_ends_at_its_time_notes_how_far_it_came_and_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FAN_OUT_BATCH_SIZE = 2
    monkeypatch.setattr(fanout, "SLICE_SECONDS", 0.0)
    author, *followers = create_users(6)
    follow(author, *followers)
    for follower in followers:
        read_feed(follower)
    (post_id,) = create_posts(author)
    assert fanout.deliver_slice(post_id) is SliceOutcome.CONTINUED, "two are served, three are left"
    assert row(post_id).last_follower_id == followers[1].pk
    assert row(post_id).deliveries == 2
    assert fanout.deliver_slice(post_id) is SliceOutcome.CONTINUED
    assert fanout.deliver_slice(post_id) is SliceOutcome.CONTINUED, (
        "that was the last, but the slice was over before it could know"
    )
    assert fanout.deliver_slice(post_id) is SliceOutcome.FINISHED
    assert (row(post_id).state, row(post_id).deliveries) == (State.DONE, 5)
    assert all(read_feed(follower) == [post_id] for follower in followers)


def test_an_unfinished_slice_sends_itself_to_the_back_of_the_queue(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis
) -> None:
    settings.FAN_OUT_BATCH_SIZE = 1
    monkeypatch.setattr(fanout, "SLICE_SECONDS", 0.0)
    author, *followers = create_users(3)
    follow(author, *followers)
    (post_id,) = create_posts(author)
    redis_broker.flushdb()
    tasks.deliver_post(post_id)
    assert queued(redis_broker) == 1


def test_what_a_living_worker_holds_nobody_else_takes() -> None:
    (post_id,) = create_posts(UserFactory())
    assert fanout_outbox.claim(post_id)
    assert fanout_outbox.claim(post_id) is None
    assert fanout_outbox.claim_overdue(10) == []


def test_what_a_dead_worker_held_is_handed_out_again_and_finished_once() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    dead = fanout_outbox.claim(post_id)
    assert dead
    overdue(post_id)
    assert fanout_outbox.claim_overdue(10) == [post_id]
    assert fanout.deliver_slice(post_id) is SliceOutcome.FINISHED
    assert (row(post_id).state, row(post_id).attempts) == (State.DONE, 1)
    assert read_feed(follower) == [post_id]


def test_a_worker_that_was_taken_for_dead_can_write_nothing() -> None:
    (post_id,) = create_posts(UserFactory())
    slept = fanout_outbox.claim(post_id)
    assert slept
    overdue(post_id)
    awake = fanout_outbox.claim(post_id)
    assert awake
    assert not fanout_outbox.mark_done(slept, 0)
    assert not fanout_outbox.checkpoint(slept, 99, 0)
    assert row(post_id).state == State.RUNNING
    assert fanout_outbox.mark_done(awake, 1)


def test_a_lost_nudge_is_found_by_the_sweeper_but_not_over_and_over(redis_broker: redis.Redis) -> None:
    (post_id,) = create_posts(UserFactory())
    redis_broker.flushdb()
    assert tasks.sweep_fan_outs() == 0, "it is not overdue yet"
    overdue(post_id)
    assert tasks.sweep_fan_outs() == 1
    assert queued(redis_broker) == 1
    assert tasks.sweep_fan_outs() == 0
    waits = []
    for _ in range(8):
        before = timezone.now()
        overdue(post_id)
        fanout_outbox.claim_overdue(10)
        waits.append(round((row(post_id).due_at - before).total_seconds()))
    assert waits == sorted(waits)
    assert waits[0] < 15
    assert waits[-1] == pytest.approx(300, abs=5), "behind a long queue, repeating is no help"


def test_a_failing_fan_out_waits_longer_each_time_and_ends_as_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    monkeypatch.setattr(timeline_store, "push_to_home_timelines", lambda *_: 1 / 0)
    for _ in range(fanout_outbox.MAX_ATTEMPTS):
        assert fanout.deliver_slice(post_id) is SliceOutcome.FAILED
        assert row(post_id).state == State.PENDING
    assert fanout.deliver_slice(post_id) is SliceOutcome.FAILED
    assert row(post_id).state == State.DEAD
    assert "ZeroDivisionError" in row(post_id).error
    assert fanout_outbox.claim_overdue(10) == []
    monkeypatch.undo()
    assert fanout_outbox.requeue_dead_letters() == 1
    deliver_all()
    assert read_feed(follower) == [post_id]


def test_an_absent_redis_never_makes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    (post_id,) = create_posts(UserFactory())

    def gone(*_: object) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(timeline_store, "push_to_home_timelines", gone)
    for _ in range(2 * fanout_outbox.MAX_ATTEMPTS):
        assert fanout.deliver_slice(post_id) is SliceOutcome.POSTPONED
    assert (row(post_id).state, row(post_id).attempts) == (State.PENDING, 0)


def test_workers_that_die_again_and_again_end_in_a_dead_letter() -> None:
    (post_id,) = create_posts(UserFactory())
    for _ in range(fanout_outbox.MAX_ATTEMPTS + 1):
        assert fanout_outbox.claim(post_id)
        overdue(post_id)
    assert fanout_outbox.claim(post_id) is None
    assert row(post_id).state == State.DEAD


def test_a_post_deleted_in_mid_fan_out_troubles_nobody() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)
    (post_id,) = create_posts(author)
    claim = fanout_outbox.claim(post_id)
    assert claim
    posts.delete_post(post_id, author.pk)
    assert purge.purge_batch()
    timeline_store.push_to_home_timelines([follower.pk], post_id)
    assert not fanout_outbox.mark_done(claim, 1)
    tasks.deliver_post(post_id)
    assert read_feed(follower) == []


def test_a_celebritys_post_is_delivered_to_nobody_and_seen_by_all() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    User.objects.filter(pk=author.pk).update(celebrity_pin=True)
    celebrity_transitions.promote([author.pk])
    read_feed(follower)
    (post_id,) = create_posts(author)
    assert row(post_id).mode == DeliveryMode.PULL
    assert read_feed(follower) == [post_id], "without any task"
    assert timeline_store.peek(keys.home_timeline(follower.pk)) == timeline_store.Timeline([], 0)
    deliver_all()
    assert (row(post_id).state, row(post_id).deliveries) == (State.DONE, 0)


@pytest.mark.parametrize("limit", [100, 5_000])
def test_the_budget_holds_over_all_takers(settings: Settings, limit: int) -> None:
    settings.FAN_OUT_RATE_LIMIT = limit
    granted = 0
    while rate_limiter.acquire(limit // 10) == 0:
        granted += limit // 10
    assert limit <= granted <= 1.5 * limit, "one second's worth, and what flowed in meanwhile"
    assert 0 < rate_limiter.acquire(limit // 10) <= 0.1


def test_without_a_limit_the_budget_costs_nothing() -> None:
    assert rate_limiter.acquire(10**9) == 0


def test_a_batch_larger_than_the_limit_is_delivered_all_the_same(settings: Settings) -> None:
    settings.FAN_OUT_RATE_LIMIT = 10
    assert rate_limiter.acquire(1_000) == 0
    assert rate_limiter.acquire(1) > 90, "and paid for afterwards"


def test_a_slice_that_must_wait_too_long_makes_room(settings: Settings) -> None:
    settings.FAN_OUT_RATE_LIMIT = 1
    author, *followers = create_users(4)
    follow(author, *followers)
    rate_limiter.acquire(30)
    (post_id,) = create_posts(author)
    assert fanout.deliver_slice(post_id) is SliceOutcome.CONTINUED
    assert row(post_id).state == State.PENDING


def test_a_limit_below_the_batch_size_is_kept_without_spinning(settings: Settings) -> None:
    """A batch that takes longer than a slice to afford would be put off for ever."""
    settings.FAN_OUT_RATE_LIMIT = 2
    author, *followers = create_users(5)
    follow(author, *followers)
    for follower in followers:
        read_feed(follower)
    (post_id,) = create_posts(author)
    assert fanout.deliver_slice(post_id) is SliceOutcome.CONTINUED
    assert row(post_id).deliveries >= 2


def test_progress_forgives_earlier_failures() -> None:
    (post_id,) = create_posts(UserFactory())
    FanOut.objects.filter(pk=post_id).update(attempts=fanout_outbox.MAX_ATTEMPTS, dispatches=5)
    claim = fanout_outbox.claim(post_id)
    assert claim
    assert fanout_outbox.checkpoint(claim, 7, 1)
    assert (row(post_id).attempts, row(post_id).dispatches) == (0, 0)
