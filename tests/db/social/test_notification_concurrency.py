"""The consumer of notification events beside writers, other consumers, deletions and readers."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import User
from social import notifications, services
from social.models import Follow, FollowRequest, Notification, NotificationEvent, NotificationState
from social.notifications import aggregation, deletion, writer_lock
from social.notifications.consumer import BatchResult, consume_batch, consume_batches
from social.notifications.read_state import dismiss, mark_read
from tests.db.social.notification_setup import (
    POST,
    announce,
    consume_all_events,
    delete,
    entries_of,
    follow,
    like,
    read_up_to,
    retract,
)
from tests.support.concurrency import close_connection_after, repeated_in_threads, run_concurrently
from tests.support.eventually import TIMEOUT, eventually
from tests.support.factories import UserFactory
from tests.support.lock_waits import count_lock_waiters

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_one_consumer_runs_and_others_return_at_once() -> None:
    owner, fan = UserFactory.create_batch(2)
    with transaction.atomic():
        assert writer_lock.lock_consumer_and_writer()
        announce(like(owner, fan))
        assert run_concurrently([consume_batch, consume_batch]) == [BatchResult.BUSY, BatchResult.BUSY]
    assert run_concurrently([consume_batches]) == [False]
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]


def test_running_consumer_applies_events_written_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of a late event finds the lock taken and returns. The mark that it set keeps the consumer running."""
    owner, one, other = UserFactory.create_batch(3)
    announce(like(owner, one))
    announce_late = partial(announce, like(owner, other))

    def apply_while_an_event_arrives(events: Any) -> None:
        monkeypatch.undo()
        aggregation.apply_events(events)
        assert run_concurrently([announce_late]) == [None]
        assert run_concurrently([consume_batches]) == [False]

    monkeypatch.setattr(aggregation, "apply_events", apply_while_an_event_arrives)
    assert consume_batches() is False
    assert entries_of(owner) == [(f"like:post:{POST}", [other.pk, one.pk])]


def test_notifications_match_follows_under_concurrency() -> None:
    star, private = UserFactory(), UserFactory(is_private=True)
    fans = UserFactory.create_batch(6)

    def follow_and_unfollow() -> None:
        for _ in range(25):
            fan, other = random.choice(fans), random.choice([star, private])
            random.choice([services.follow, services.follow, services.unfollow])(fan.pk, other.pk)

    with repeated_in_threads(consume_batches, consume_batches):
        assert [error for error in run_concurrently([follow_and_unfollow] * 6) if error] == []
    consume_all_events()
    following = set(Follow.objects.filter(followee=star).values_list("follower_id", flat=True))
    requesting = set(FollowRequest.objects.filter(followee=private).values_list("follower_id", flat=True))
    assert {actor for _, (actor,) in entries_of(star)} == following
    assert {actor for _, (actor,) in entries_of(private)} == requesting


def test_event_and_deletion_written_during_a_read_leave_no_notification() -> None:
    owner, fan = UserFactory.create_batch(2)
    reads: list[str] = []

    def announce_and_delete() -> None:
        announce(like(owner, fan))
        delete(posts=[POST])

    def announce_and_delete_after_read(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "SELECT" in sql and NotificationEvent._meta.db_table in sql:
            reads.append(sql)
            assert run_concurrently([announce_and_delete]) == [None]
        return result

    with connection.execute_wrapper(announce_and_delete_after_read):
        consume_batch()
    assert len(reads) == 1, "a deletion between two reads would be applied before the event that it follows"
    consume_all_events()
    assert not Notification.objects.exists()


def test_consumer_runs_between_slices_of_an_erasure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "DELETE_BATCH_SIZE", 2)
    owner, erased, fan = UserFactory.create_batch(3)
    announce(*(like(erased, fan, POST + number) for number in range(10)))
    consume_all_events()
    User.objects.filter(pk=erased.pk).update(is_active=False)
    announce(follow(owner, fan))
    consumers: list[Future[BatchResult]] = []

    def start_a_consumer_during_the_first_slice(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        """Before the first DELETE, under the writer lock, wait until the consumer waits for that lock."""
        if sql.startswith("DELETE") and not consumers:
            consumers.append(pool.submit(close_connection_after, consume_batch))
            eventually(lambda: count_lock_waiters() or consumers[0].done())
        return execute(sql, *rest)

    with ThreadPoolExecutor(1) as pool, connection.execute_wrapper(start_a_consumer_during_the_first_slice):
        slices = [notifications.delete_for_user(erased.pk) for _ in range(2)]
        assert entries_of(owner) == [(f"follow:{fan.pk}", [fan.pk])], (
            "applied after the first slice, not after the last"
        )
        assert consumers[0].result(TIMEOUT) is BatchResult.EMPTY
    assert slices == [False, False]
    while not notifications.delete_for_user(erased.pk):
        pass
    assert Notification.objects.get().recipient_id == owner.pk


def test_concurrent_reads_keep_the_highest_position() -> None:
    owner, *fans = UserFactory.create_batch(12)
    announce(*(like(owner, fan, POST + fan.pk) for fan in fans))
    consume_all_events()
    positions = list(Notification.objects.values_list("position", flat=True))
    for _ in range(5):
        NotificationState.objects.all().delete()
        assert run_concurrently([partial(mark_read, owner.pk, position) for position in positions]) == [None] * 11
        assert read_up_to(owner) == max(positions)


def dismiss_during_a_batch(user: User, position: int) -> None:
    """Consume all events. Dismiss an entry on another connection when the consumer has read it, before it writes."""
    results: list[bool] = []

    def dismiss_before_the_update(execute: Any, sql: str, *rest: Any) -> Any:
        if "UPDATE social_notification AS" in sql:
            results.extend(run_concurrently([partial(dismiss, user.pk, position)]))
        return execute(sql, *rest)

    with connection.execute_wrapper(dismiss_before_the_update):
        consume_all_events()
    assert results == [True]


def test_entry_dismissed_while_the_consumer_adds_an_actor_comes_back() -> None:
    owner, one, other = UserFactory.create_batch(3)
    announce(like(owner, one))
    consume_all_events()
    entry = Notification.objects.get()
    announce(like(owner, other))
    dismiss_during_a_batch(owner, entry.position)
    moved = Notification.objects.get()
    assert (moved.is_dismissed, moved.actor_count) == (False, 2)
    assert moved.position > entry.position
    assert not dismiss(owner.pk, entry.position)


def test_entry_dismissed_while_the_consumer_removes_an_actor_stays_dismissed() -> None:
    owner, one, other = UserFactory.create_batch(3)
    announce(like(owner, one), like(owner, other))
    consume_all_events()
    retract(like(owner, other))
    dismiss_during_a_batch(owner, Notification.objects.get().position)
    entry = Notification.objects.get()
    assert (entry.is_dismissed, entry.actor_count) == (True, 1)


def test_dismissals_and_new_actors_neither_lose_nor_double_entries() -> None:
    """An entry is dismissed at the position that the owner saw, or a new actor has brought it back since."""
    owner, *fans = UserFactory.create_batch(13)
    posts = [POST, POST + 1]
    dismissed: list[int] = []

    def dismiss_what_is_listed() -> None:
        for position in Notification.objects.filter(is_dismissed=False).values_list("position", flat=True):
            if dismiss(owner.pk, position):
                dismissed.append(position)

    with repeated_in_threads(dismiss_what_is_listed, consume_batches):
        for fan in fans:
            announce(*(like(owner, fan, post) for post in posts))
        eventually(lambda: dismissed)
    consume_all_events()
    entries = list(Notification.objects.order_by("post_id"))
    assert [(entry.post_id, entry.actor_count) for entry in entries] == [(post, 12) for post in posts]
    for entry in entries:
        assert entry.is_dismissed == (entry.position in dismissed)
