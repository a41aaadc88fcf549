"""Notifications of deleted posts, comments and users are deleted, and no others."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from social import notifications, tasks
from social.models import (
    Notification,
    NotificationActor,
    NotificationEvent,
    NotificationState,
)
from social.notifications import Event, consumer, deletion
from social.notifications.consumer import BatchResult, consume_batch
from social.notifications.read_state import mark_read
from tests.db.social.notification_setup import COMMENT, POST, announce, consume_all_events, entries_of, like, retract
from tests.support.concurrency import run_concurrently
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)  # commits, so that callbacks run and other connections see the rows


def delete(*, posts: list[int] | None = None, comments: list[int] | None = None) -> None:
    with transaction.atomic():
        notifications.delete_for_posts(posts or [])
        notifications.delete_for_comments(comments or [])


@pytest.mark.parametrize("rows", [2, 1_000])
def test_deleted_post_removes_all_its_notifications(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "DELETE_BATCH_SIZE", rows)
    owner, *fans = UserFactory.create_batch(8)
    deleted = [like(owner, fan) for fan in fans]
    deleted += [like(owner, fan, POST, COMMENT) for fan in fans]
    deleted += [Event("comment", owner.pk, fan.pk, POST, COMMENT + fan.pk) for fan in fans]
    deleted += [Event("mention", fan.pk, owner.pk, POST) for fan in fans]
    announce(*deleted)
    consume_all_events()
    announce(like(owner, fans[0], POST + 10**6), *deleted[::2], Event("follow", owner.pk, fans[0].pk))
    delete(posts=[POST])
    consume_all_events()
    assert entries_of(owner) == [(f"follow:{fans[0].pk}", [fans[0].pk]), (f"like:post:{POST + 10**6}", [fans[0].pk])]
    assert (Notification.objects.count(), NotificationActor.objects.count()) == (2, 2)


def follow(recipient: User, actor: User) -> Event:
    return Event("follow", recipient.pk, actor.pk)


@pytest.mark.parametrize("batch", [2, 500])
def test_sliced_deletion_does_not_delay_other_events(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "DELETE_BATCH_SIZE", 2)
    monkeypatch.setattr(consumer, "EVENT_BATCH_SIZE", batch)
    owner, *fans = UserFactory.create_batch(6)
    announce(*(like(owner, fan, POST + number) for fan in fans for number in range(5)))
    consume_all_events()
    delete(posts=[POST + number for number in range(5)])
    for done, fan in enumerate(fans[:3], start=1):
        announce(follow(owner, fan))
        assert consume_batch() is BatchResult.MORE
        assert Notification.objects.latest("position").aggregation_key == f"follow:{fan.pk}"
        assert NotificationActor.objects.count() == 25 - 2 * done + done, "one slice for each batch"
    consume_all_events()
    assert [key for key, _ in entries_of(owner)] == [f"follow:{fan.pk}" for fan in fans[2::-1]]
    assert Notification.objects.count() == 3


def test_events_before_a_deletion_are_applied_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "EVENT_BATCH_SIZE", 3)
    owner, *fans = UserFactory.create_batch(9)
    announce(*(like(owner, fan) for fan in fans))
    delete(posts=[POST])
    announce(*(follow(owner, fan) for fan in fans))
    assert consume_batch() is BatchResult.MORE
    assert len(entries_of(owner)) == 1
    consume_all_events()
    assert [key for key, _ in entries_of(owner)] == [f"follow:{fan.pk}" for fan in fans[::-1]]


@committed
def test_event_and_deletion_written_during_a_read_leave_no_notification() -> None:
    owner, fan = UserFactory.create_batch(2)
    reads: list[str] = []

    def announce_and_delete() -> None:
        announce(like(owner, fan))
        delete(posts=[POST])

    def announce_and_delete_between_reads(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("SELECT") and NotificationEvent._meta.db_table in sql:
            reads.append(sql)
            if len(reads) == 2:
                assert run_concurrently([announce_and_delete]) == [None]
        return execute(sql, *rest)

    with connection.execute_wrapper(announce_and_delete_between_reads):
        consume_batch()
    assert len(reads) == 2
    consume_all_events()
    assert not Notification.objects.exists()


def count_lock_waiters() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
        )
        return int(cursor.fetchone()[0])


def consume_in_a_thread() -> BatchResult:
    try:
        return consume_batch()
    finally:
        connection.close()


@committed
def test_consumer_runs_between_slices_of_an_erasure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "DELETE_BATCH_SIZE", 2)
    owner, erased, fan = UserFactory.create_batch(3)
    announce(*(like(erased, fan, POST + number) for number in range(10)))
    consume_all_events()
    User.objects.filter(pk=erased.pk).update(is_active=False)
    announce(follow(owner, fan))
    remove_actors: Callable[[QuerySet[NotificationActor]], bool] = deletion._remove_actors
    consumers: list[Future[BatchResult]] = []

    def remove_actors_while_a_consumer_waits(actors: QuerySet[NotificationActor]) -> bool:
        if not consumers:
            consumers.append(pool.submit(consume_in_a_thread))
            ends = time.monotonic() + 30
            while not (count_lock_waiters() or consumers[0].done()) and time.monotonic() < ends:
                time.sleep(0.01)
        return remove_actors(actors)

    monkeypatch.setattr(deletion, "_remove_actors", remove_actors_while_a_consumer_waits)
    with ThreadPoolExecutor(1) as pool:
        slices = [notifications.delete_for_user(erased.pk) for _ in range(2)]
        assert entries_of(owner) == [(f"follow:{fan.pk}", [fan.pk])], (
            "applied after the first slice, not after the last"
        )
        assert consumers[0].result(timeout=30) is BatchResult.EMPTY
    assert slices == [False, False]
    while not notifications.delete_for_user(erased.pk):
        pass
    assert Notification.objects.get().recipient_id == owner.pk


def test_deleted_comment_keeps_notifications_of_other_comments() -> None:
    owner, fan = UserFactory.create_batch(2)
    for comment in (COMMENT, COMMENT + 1):
        announce(like(owner, fan, POST, comment), Event("reply", owner.pk, fan.pk, POST, comment))
    delete(comments=[COMMENT])
    consume_all_events()
    assert [key for key, _ in entries_of(owner)] == [f"comment:{COMMENT + 1}", f"like:comment:{COMMENT + 1}"]


@pytest.mark.parametrize("rows", [2, 1_000])
def test_user_erasure_removes_only_that_users_notifications(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "DELETE_BATCH_SIZE", rows)
    owner, erased, other = UserFactory.create_batch(3)
    announce(*(like(owner, erased, POST + number) for number in range(5)), like(owner, other))
    announce(*(like(erased, other, POST + 100 + number) for number in range(5)), Event("follow", owner.pk, erased.pk))
    consume_all_events()
    mark_read(erased.pk, 10**6)
    mark_read(owner.pk, 10**6)
    announce(like(erased, other, POST + 200), like(owner, erased, POST + 200))
    User.objects.filter(pk=erased.pk).update(is_active=False)
    slices = 1
    while not notifications.delete_for_user(erased.pk):
        slices += 1
    assert slices == 1 if rows > 10 else slices > 3
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [other.pk])]
    assert Notification.objects.get().recipient_id == owner.pk
    assert NotificationActor.objects.get().actor_id == other.pk
    assert NotificationState.objects.get().user_id == owner.pk
    assert notifications.delete_for_user(erased.pk)


def test_retracted_notifications_are_deleted_after_the_cooldown() -> None:
    owner, fan, other = UserFactory.create_batch(3)
    announce(like(owner, fan), like(owner, other), like(owner, fan, POST + 1))
    consume_all_events()
    retract(like(owner, fan), like(owner, fan, POST + 1))
    consume_all_events()
    tasks.delete_retracted_notifications()
    assert (Notification.objects.count(), NotificationActor.objects.count()) == (2, 3)
    long_ago = timezone.now() - deletion.RENOTIFY_COOLDOWN - timedelta(seconds=1)
    NotificationActor.objects.update(announced_at=long_ago)
    Notification.objects.update(created_at=long_ago)
    tasks.delete_retracted_notifications()
    assert entries_of(owner) == [(f"like:post:{POST}", [other.pk])]
    assert (Notification.objects.count(), NotificationActor.objects.count()) == (1, 1)
