"""Notifications of deleted posts, comments and users are deleted, and no others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from social import notifications, tasks
from social.models import (
    Notification,
    NotificationActor,
    NotificationState,
)
from social.notifications import Event, consumer, deletion
from social.notifications.consumer import BatchResult, consume_batch
from social.notifications.read_state import mark_read
from tests.db.social.notification_setup import (
    COMMENT,
    POST,
    announce,
    consume_all_events,
    delete,
    entries_of,
    follow,
    like,
    retract,
)
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


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
