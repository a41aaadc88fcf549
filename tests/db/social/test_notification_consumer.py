"""The outbox consumer: batches, crashes, concurrent consumers, and the requests that start it."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.db import OperationalError

from instafeed.backoffice import sweeps
from instafeed.core.cache import keys
from instafeed.core.cache.client import breaker, record_failure
from instafeed.core.jobs import queues
from social import tasks
from social.models import (
    Notification,
    NotificationActor,
    NotificationEvent,
)
from social.notifications import consumer
from social.notifications.consumer import BatchResult, consume_batch, consume_batches
from social.notifications.outbox import consumer_task
from tests.db.social.notification_setup import POST, announce, consume_all_events, entries_of, like, retract
from tests.support.factories import UserFactory
from tests.support.leased_jobs import lose_tasks

pytestmark = pytest.mark.django_db

NEW_BATCH, MIXED_BATCH = 13, 15  # statements, four of which are savepoints


@pytest.mark.parametrize("size", [2, 50])
def test_batch_uses_a_fixed_number_of_statements(size: int, django_assert_num_queries: Any) -> None:
    owner, other, *fans = UserFactory.create_batch(size + 2)
    announce(*(like(owner, fan) for fan in fans), *(like(other, fan, POST + fan.pk) for fan in fans))
    with django_assert_num_queries(NEW_BATCH):
        assert consume_batch() is BatchResult.EMPTY
    announce(*(like(owner, fan) for fan in fans), *(like(owner, fan, POST + 1) for fan in fans))
    retract(*(like(other, fan, POST + fan.pk) for fan in fans))
    with django_assert_num_queries(MIXED_BATCH):
        assert consume_batch() is BatchResult.EMPTY
    assert entries_of(other) == []
    assert [actors for _, actors in entries_of(owner)] == [[fan.pk for fan in fans[::-1]]] * 2


def test_batches_are_consumed_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "EVENT_BATCH_SIZE", 3)
    owner, *fans = UserFactory.create_batch(9)
    announce(*(like(owner, fan) for fan in fans))
    retract(*(like(owner, fan) for fan in fans[:4]))
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[:3:-1]])]
    assert Notification.objects.get().position == NotificationActor.objects.get(actor_id=fans[-1].pk).position


def test_task_requeues_itself_when_events_are_left(monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis) -> None:
    monkeypatch.setattr(consumer, "EVENT_BATCH_SIZE", 1)
    monkeypatch.setattr(consumer, "SLICE_SECONDS", 0)
    owner, *fans = UserFactory.create_batch(3)
    announce(*(like(owner, fan) for fan in fans))
    redis_broker.flushdb()
    tasks.drain_notifications()
    assert NotificationEvent.objects.count() == 1
    assert redis_broker.llen("notifications") == 1, "the task is queued again behind others"


def test_sweep_requests_a_lost_task(redis_broker: redis.Redis) -> None:
    owner, fan = UserFactory.create_batch(2)
    announce(like(owner, fan))
    lose_tasks(redis_broker)
    sweeps.sweep()
    assert redis_broker.llen("notifications") == 1
    consume_all_events()
    lose_tasks(redis_broker)
    sweeps.sweep()
    assert redis_broker.llen("notifications") == 0


def test_interrupted_batch_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, *fans = UserFactory.create_batch(3)
    announce(*(like(owner, fan) for fan in fans))

    def lose_connection(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(NotificationActor.objects, "bulk_create", lose_connection)
        with pytest.raises(OperationalError):
            consume_batches()
    assert (Notification.objects.count(), NotificationEvent.objects.count()) == (0, 2)
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[::-1]])]


def test_failed_event_is_skipped_and_does_not_block_others(caplog: pytest.LogCaptureFixture) -> None:
    owner, *fans = UserFactory.create_batch(8)
    announce(like(owner, fans[0], POST + 1))
    consume_all_events()
    Notification.objects.update(actor_count=0)  # simulates a bug: the database rejects a negative count
    announce(*(like(owner, fan) for fan in fans[:4]))
    retract(like(owner, fans[0], POST + 1))
    announce(*(like(owner, fan) for fan in fans[4:]))
    consume_batches()
    event = NotificationEvent.objects.get()
    assert event.failed_at is not None
    assert f"event {event.pk} failed" in caplog.text
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[::-1]])]
    assert consume_batch() is BatchResult.EMPTY


def test_many_events_within_a_moment_enqueue_one_task(redis_broker: redis.Redis, redis_cache: redis.Redis) -> None:
    owner, *fans = UserFactory.create_batch(4)
    for fan in fans:
        announce(like(owner, fan))
    assert redis_broker.llen("notifications") == 1
    mark = keys.look_coming(queues.DRAIN_NOTIFICATIONS)
    assert 0 < redis_cache.pttl(mark) <= consumer_task.mark_ttl * 1000
    consume_all_events()
    assert redis_broker.llen("notifications") == 1
    announce(like(owner, fans[0], POST + 1))
    assert redis_broker.llen("notifications") == 2, "the consumer has already run"


def test_periodic_task_consumes_events_when_redis_is_down(redis_broker: redis.Redis) -> None:
    owner, fan = UserFactory.create_batch(2)
    record_failure(redis.ConnectionError("down"))
    try:
        announce(like(owner, fan))
        tasks.drain_notifications()
    finally:
        breaker.reset()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]
