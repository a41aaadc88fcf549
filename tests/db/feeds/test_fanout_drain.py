"""Draining due fan-outs: many posts in one round, no post behind a large audience, few tasks."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from feeds import fanout, fanout_drain, fanout_outbox, tasks, timeline_store
from feeds.fanout_outbox import Progress
from feeds.models import FanOut
from feeds.timeline_store import Push
from instafeed.core.jobs.leased import JobState, Outcome
from tests.db.feeds.feed_setup import create_posts, create_users, follow, get_fan_out, read_feed
from tests.support.factories import UserFactory
from tests.support.leased_jobs import lose_tasks
from tests.support.redis_round_trips import count_round_trips

pytestmark = pytest.mark.django_db


def create_authors(count: int, *followers: User) -> list[User]:
    """Create authors whom all of `followers` follow, and warm the followers' home timelines."""
    authors = create_users(count)
    for author in authors:
        follow(author, *followers)
    for follower in followers:
        read_feed(follower)
    return authors


def count_unfinished() -> int:
    return FanOut.objects.exclude(state=JobState.DONE).count()


def test_drain_delivers_everything_that_is_due() -> None:
    followers = create_users(2)
    post_ids = [post_id for author in create_authors(3, *followers) for post_id in create_posts(author, 2)]
    tasks.deliver_posts()
    assert count_unfinished() == 0
    assert [fan_out.deliveries for fan_out in FanOut.objects.all()] == [2] * 6
    assert all(read_feed(follower) == post_ids[::-1] for follower in followers)


def test_round_costs_the_same_for_few_and_many_posts(redis_broker: redis.Redis) -> None:
    """One claim, one page of followers, two calls of Redis for the authors, one for the followers and one for the hint,
    one update."""
    costs = []
    authors = create_authors(12, *create_users(2))
    for count in (2, 12):
        for author in authors[:count]:
            create_posts(author)
        fan_outs = fanout_outbox.queue.claim_due(50)
        with CaptureQueriesContext(connection) as queries, count_round_trips() as round_trips:
            assert fanout.deliver(fan_outs) == {Outcome.FINISHED: count}
        costs.append((len(queries), len(round_trips)))
    assert costs == [(2, 4), (2, 4)]


def test_large_audience_is_delivered_in_turns_with_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FAN_OUT_BATCH_SIZE = 1
    monkeypatch.setattr(fanout, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(fanout_drain, "CLAIM_LIMIT", 1)
    followers = create_users(6)
    (large,) = create_authors(1, *followers)
    (small,) = create_authors(1, followers[0])
    (large_post,), (small_post,) = create_posts(large), create_posts(small)
    finished: list[int] = []
    mark_done = fanout_outbox.mark_done

    def record(progress: list[Progress]) -> int:
        finished.extend(one.fan_out.post_id for one in progress)
        return mark_done(progress)

    monkeypatch.setattr(fanout_outbox, "mark_done", record)
    tasks.deliver_posts()
    assert finished == [small_post, large_post]


def test_fan_out_that_a_round_did_not_reach_is_first_in_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FAN_OUT_BATCH_SIZE = 1
    monkeypatch.setattr(fanout, "ROUND_SECONDS", 0.0)
    followers = create_users(3)
    authors = create_authors(3, *followers)
    post_ids = [create_posts(author)[0] for author in authors]
    order = []
    for _ in range(3):
        claimed = fanout_outbox.queue.claim_due(50)
        order.append(claimed[0].post_id)
        assert fanout.deliver(claimed) == {Outcome.CONTINUED: 3}
    assert order == post_ids


def test_failed_posts_do_not_hold_up_a_new_one(monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis) -> None:
    """They are claimed one by one, but without pauses, and other workers are asked for help."""
    monkeypatch.setattr(
        "feeds.fanout_drain.time.sleep", lambda _: pytest.fail("waited") if count_unfinished() else None
    )
    failed = create_posts(UserFactory(), 5)
    FanOut.objects.filter(pk__in=failed).update(attempts=1)
    create_posts(UserFactory())
    lose_tasks(redis_broker)
    tasks.deliver_posts()
    assert (count_unfinished(), redis_broker.llen("fan_out")) == (0, 1)


def test_dead_letter_at_the_head_does_not_end_the_drain() -> None:
    dead, *others = create_posts(UserFactory(), 3)
    FanOut.objects.filter(pk=dead).update(attempts=fanout_outbox.MAX_ATTEMPTS, state=JobState.RUNNING)
    tasks.deliver_posts()
    assert get_fan_out(dead).state == JobState.DEAD
    assert {get_fan_out(post_id).state for post_id in others} == {JobState.DONE}


def test_drain_that_ran_out_of_time_requests_another(
    monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis
) -> None:
    monkeypatch.setattr(fanout_drain, "DRAIN_SECONDS", 0.0)
    create_posts(UserFactory())
    lose_tasks(redis_broker)
    tasks.deliver_posts()
    assert (count_unfinished(), redis_broker.llen("fan_out")) == (1, 1)


def test_full_round_asks_another_worker_for_help(monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis) -> None:
    monkeypatch.setattr(fanout_drain, "CLAIM_LIMIT", 2)
    create_posts(UserFactory(), 5)
    lose_tasks(redis_broker)
    tasks.deliver_posts()
    assert (count_unfinished(), redis_broker.llen("fan_out")) == (0, 1)


def test_posts_during_a_drain_enqueue_no_task(monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis) -> None:
    """A drain looks again before it ends, so a steady stream of posts needs no task for each."""
    author = UserFactory()
    create_posts(author)
    lose_tasks(redis_broker)
    waits, deliver = 0, fanout.deliver

    def post_while_waiting(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits < 4:
            create_posts(author, 3)

    def post_while_delivering(fan_outs: list[FanOut]) -> Any:
        if waits < 2:
            create_posts(author)
        return deliver(fan_outs)

    monkeypatch.setattr("feeds.fanout_drain.time.sleep", post_while_waiting)
    monkeypatch.setattr(fanout, "deliver", post_while_delivering)
    tasks.deliver_posts()
    assert (waits, count_unfinished(), redis_broker.llen("fan_out")) == (4, 0, 0)


def test_task_without_work_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feeds.fanout_drain.time.sleep", lambda _: pytest.fail("waited"))
    tasks.deliver_posts()


@pytest.mark.parametrize("error", [ZeroDivisionError(), redis.ResponseError("WRONGTYPE")], ids=["bug", "key"])
def test_post_that_cannot_be_delivered_does_not_delay_the_others(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bad, *good = create_posts(UserFactory(), 4)
    push_to_home_timelines = timeline_store.push_to_home_timelines

    def fail_for_one(pushes: list[Push]) -> tuple[list[int], set[int]]:
        if any(push.post_id == bad for push in pushes):
            raise error
        return push_to_home_timelines(pushes)

    monkeypatch.setattr(timeline_store, "push_to_home_timelines", fail_for_one)
    tasks.deliver_posts()
    assert [get_fan_out(post_id).state for post_id in good] == [JobState.DONE] * 3
    assert (get_fan_out(bad).state, get_fan_out(bad).attempts) == (JobState.PENDING, 1)


def test_redis_outage_ends_the_drain_and_delays_the_posts(
    monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis
) -> None:
    monkeypatch.setattr(fanout_drain, "CLAIM_LIMIT", 2)
    calls = 0

    def fail(*_: Any) -> None:
        nonlocal calls
        calls += 1
        raise redis.ConnectionError("gone")

    create_posts(UserFactory(), 6)
    lose_tasks(redis_broker)
    monkeypatch.setattr(timeline_store, "push_to_author_timelines", fail)
    tasks.deliver_posts()
    assert calls == 1
    assert fanout_outbox.queue.claim_due(50) == list(FanOut.objects.order_by("pk")[2:])
