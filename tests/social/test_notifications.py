"""The outbox and its drain: what is told, once, to whom, and what is taken back."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from threading import Event as Flag
from typing import Any

import pytest
import redis
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from instafeed import keys
from social import notifications, services, tasks
from social.models import Notification, NotificationActor, NotificationEvent, NotificationState
from social.notifications import Event, drain, erasure
from social.notifications.drain import drain_batch, drain_slice
from tests.factories import BlockFactory, MuteFactory, UserFactory
from tests.social.helpers import at_once

pytestmark = pytest.mark.django_db(transaction=True)

POST, COMMENT = 10**17, 10**17 + 1


def announce(*events: Event) -> None:
    with transaction.atomic():
        notifications.announce(*events)


def retract(*events: Event) -> None:
    with transaction.atomic():
        notifications.retract(*events)


def drained() -> None:
    """Everything that waits is applied."""
    while drain_slice():
        pass
    assert not NotificationEvent.objects.exists()


def like(recipient: User, actor: User, post_id: int = POST, comment_id: int | None = None) -> Event:
    return Event("like", recipient.pk, actor.pk, post_id, comment_id)


def told(user: User) -> list[tuple[str, list[int]]]:
    """The user's entries, newest first: subject, and the actors in it, newest first."""
    shown = []
    for entry in Notification.objects.filter(recipient_id=user.pk, actor_count__gt=0).order_by("-position"):
        actors = entry.actor_set.filter(is_active=True).order_by("-position")
        shown.append((entry.subject, [actor.actor_id for actor in actors]))
        assert entry.actor_count == len(shown[-1][1])
    return shown


def test_likes_of_one_post_are_one_entry_that_moves_to_the_top() -> None:
    owner, *fans = UserFactory.create_batch(4)
    announce(like(owner, fans[0]))
    announce(like(owner, fans[1], POST + 7))
    drained()
    first = Notification.objects.get(subject=f"like:post:{POST}")
    announce(like(owner, fans[1]), like(owner, fans[2]))
    drained()
    assert told(owner) == [
        (f"like:post:{POST}", [fans[2].pk, fans[1].pk, fans[0].pk]),
        (f"like:post:{POST + 7}", [fans[1].pk]),
    ]
    bumped = Notification.objects.get(pk=first.pk)
    assert bumped.position > first.position
    assert bumped.created_at > first.created_at
