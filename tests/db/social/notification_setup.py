"""Helpers to write notification events, consume them, and read the resulting entries."""

from __future__ import annotations

from django.db import transaction

from accounts.models import User
from social import notifications
from social.models import Notification, NotificationEvent, NotificationState
from social.notifications import Event
from social.notifications.consumer import consume_batches

POST, COMMENT = 10**17, 10**17 + 1


def announce(*events: Event) -> None:
    with transaction.atomic():
        notifications.announce(*events)


def retract(*events: Event) -> None:
    with transaction.atomic():
        notifications.retract(*events)


def delete(*, posts: list[int] | None = None, comments: list[int] | None = None) -> None:
    with transaction.atomic():
        notifications.delete_for_posts(posts or [])
        notifications.delete_for_comments(comments or [])


def consume_all_events() -> None:
    """Run the consumer until the outbox is empty."""
    while consume_batches():
        pass
    assert not NotificationEvent.objects.exists()


def like(recipient: User, actor: User, post_id: int = POST, comment_id: int | None = None) -> Event:
    return Event("like", recipient.pk, actor.pk, post_id, comment_id)


def follow(recipient: User, actor: User) -> Event:
    return Event("follow", recipient.pk, actor.pk)


def read_up_to(user: User) -> int:
    """Return the user's read position."""
    return NotificationState.objects.get(pk=user.pk).read_up_to


def entries_of(user: User) -> list[tuple[str, list[int]]]:
    """Return (aggregation key, ids of the active actors) of the user's entries, both newest first."""
    shown = []
    for entry in Notification.objects.filter(recipient_id=user.pk, actor_count__gt=0).order_by("-position"):
        actors = entry.actor_set.filter(is_active=True).order_by("-position")
        shown.append((entry.aggregation_key, [actor.actor_id for actor in actors]))
        assert entry.actor_count == len(shown[-1][1])
    return shown
