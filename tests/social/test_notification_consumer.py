"""The drain: batches, deaths, drainers at once, nudges."""

from __future__ import annotations

import random
from functools import partial
from threading import Event as Flag
from typing import Any

import pytest
import redis
from django.db import OperationalError, transaction

from instafeed.core.cache import keys
from instafeed.core.cache.client import record_failure, reset_circuit_breaker
from social import services, tasks
from social.models import (
    Follow,
    FollowRequest,
    Notification,
    NotificationActor,
    NotificationEvent,
)
from social.notifications import aggregation, consumer, writer_lock
from social.notifications.consumer import consume_batch, consume_batches
from tests.factories import UserFactory
from tests.social.follow_graph import run_concurrently
from tests.social.notification_setup import POST, announce, consume_all_events, entries_of, like, retract

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)  # for what happens at a commit, or beside it

NEW_BATCH, MIXED_BATCH = 14, 16  # statements, of which four are savepoints


@pytest.mark.parametrize("size", [2, 50])
def test_a_batch_costs_a_fixed_number_of_statements(size: int, django_assert_num_queries: Any) -> None:
    owner, other, *fans = UserFactory.create_batch(size + 2)
    announce(*(like(owner, fan) for fan in fans), *(like(other, fan, POST + fan.pk) for fan in fans))
    with django_assert_num_queries(NEW_BATCH):
        assert consume_batch() is False
    announce(*(like(owner, fan) for fan in fans), *(like(owner, fan, POST + 1) for fan in fans))
    retract(*(like(other, fan, POST + fan.pk) for fan in fans))
    with django_assert_num_queries(MIXED_BATCH):
        assert consume_batch() is False
    assert entries_of(other) == []
    assert [actors for _, actors in entries_of(owner)] == [[fan.pk for fan in fans[::-1]]] * 2


def test_more_than_a_batch_is_drained_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "EVENT_BATCH_SIZE", 3)
    owner, *fans = UserFactory.create_batch(9)
    announce(*(like(owner, fan) for fan in fans))
    retract(*(like(owner, fan) for fan in fans[:4]))
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[:3:-1]])]
    assert Notification.objects.get().position == NotificationActor.objects.get(actor_id=fans[-1].pk).position


@committed
def test_a_slice_ends_and_says_that_more_is_left(monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis) -> None:
    monkeypatch.setattr(consumer, "EVENT_BATCH_SIZE", 1)
    monkeypatch.setattr(consumer, "SLICE_SECONDS", 0)
    owner, *fans = UserFactory.create_batch(3)
    announce(*(like(owner, fan) for fan in fans))
    redis_broker.flushdb()
    tasks.drain_notifications()
    assert NotificationEvent.objects.count() == 1
    assert redis_broker.llen("notifications") == 1, "it has put itself behind the others"


@committed
def test_a_worker_that_dies_in_the_middle_leaves_all_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, *fans = UserFactory.create_batch(3)
    announce(*(like(owner, fan) for fan in fans))

    def die(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(NotificationActor.objects, "bulk_create", die)
        with pytest.raises(OperationalError):
            consume_batches()
    assert (Notification.objects.count(), NotificationEvent.objects.count()) == (0, 2)
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[::-1]])]


def test_an_event_that_cannot_be_applied_is_set_aside_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    owner, *fans = UserFactory.create_batch(8)
    announce(like(owner, fans[0], POST + 1))
    consume_all_events()
    Notification.objects.update(actor_count=0)  # by a bug: below zero the database refuses
    announce(*(like(owner, fan) for fan in fans[:4]))
    retract(like(owner, fans[0], POST + 1))
    announce(*(like(owner, fan) for fan in fans[4:]))
    consume_batches()
    event = NotificationEvent.objects.get()
    assert event.failed_at is not None
    assert f"event {event.pk} is set aside" in caplog.text
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[::-1]])]
    assert consume_batch() is False


@committed
def test_one_drains_at_a_time_and_the_others_do_not_wait() -> None:
    owner, fan = UserFactory.create_batch(2)
    with transaction.atomic():
        assert writer_lock.try_lock_consumer()
        announce(like(owner, fan))
        assert run_concurrently([consume_batch, consume_batch]) == [None, None]
    assert run_concurrently([consume_batches]) == [False]
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]


@committed
def test_many_likes_in_a_moment_publish_one_task(redis_broker: redis.Redis, redis_cache: redis.Redis) -> None:
    owner, *fans = UserFactory.create_batch(4)
    for fan in fans:
        announce(like(owner, fan))
    assert redis_broker.llen("notifications") == 1
    assert 0 < redis_cache.pttl(keys.NOTIFICATIONS_DUE) <= keys.NOTIFICATIONS_DUE_TTL_MS
    consume_all_events()
    assert redis_broker.llen("notifications") == 1
    announce(like(owner, fans[0], POST + 1))
    assert redis_broker.llen("notifications") == 2, "the drain has looked before"


@committed
def test_who_comes_while_a_drain_looks_is_drained_by_it_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own task finds the lock taken and goes home: the mark it left keeps the drainer."""
    owner, one, other = UserFactory.create_batch(3)
    announce(like(owner, one))
    late = partial(announce, like(owner, other))

    def apply_and_be_overtaken(events: Any) -> None:
        monkeypatch.undo()
        aggregation.apply_events(events)
        assert run_concurrently([late]) == [None]
        assert run_concurrently([consume_batches]) == [False]

    monkeypatch.setattr(aggregation, "apply_events", apply_and_be_overtaken)
    assert consume_batches() is False
    assert entries_of(owner) == [(f"like:post:{POST}", [other.pk, one.pk])]


@committed
def test_without_the_cache_nobody_is_nudged_and_the_sweep_finds_it(redis_broker: redis.Redis) -> None:
    owner, fan = UserFactory.create_batch(2)
    record_failure(redis.ConnectionError("away"))
    try:
        announce(like(owner, fan))
        assert redis_broker.llen("notifications") == 0
        tasks.drain_notifications()
    finally:
        reset_circuit_breaker()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]


@committed
def test_storms_of_follows_and_drainers_end_in_what_is_true() -> None:
    star, private = UserFactory(), UserFactory(is_private=True)
    fans = UserFactory.create_batch(6)
    stop = Flag()

    def change() -> None:
        for _ in range(25):
            fan, other = random.choice(fans), random.choice([star, private])
            random.choice([services.follow, services.follow, services.unfollow])(fan.pk, other.pk)

    def drain_on() -> None:
        while not stop.is_set():
            consume_batches()

    def change_then_stop() -> None:
        assert [error for error in run_concurrently([change] * 6) if error] == []
        stop.set()

    assert [error for error in run_concurrently([change_then_stop, drain_on, drain_on]) if error] == []
    consume_all_events()
    following = set(Follow.objects.filter(followee=star).values_list("follower_id", flat=True))
    asking = set(FollowRequest.objects.filter(followee=private).values_list("follower_id", flat=True))
    assert {actor for _, (actor,) in entries_of(star)} == following
    assert {actor for _, (actor,) in entries_of(private)} == asking
