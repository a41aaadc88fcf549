"""Forgetting: what is gone leaves no entry, in bounded slices that may stop anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from social.models import Notification, NotificationActor, NotificationEvent, NotificationState
from social.notifications.lock import lock
from social.notifications.subjects import about_comments, about_posts

ROWS = 1_000  # deleted at once, of either table
MEMORY = timedelta(days=1)  # for which who took something back and does it again is no news


def forget_user(user_id: int) -> bool:
    """A slice of erasing one who no longer has access, as recipient and as actor; True when nothing is left.

    Events of the inactive are dropped, so nothing comes after.
    """
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock()
        NotificationEvent.objects.filter(Q(recipient_id=user_id) | Q(actor_id=user_id)).delete()
        NotificationState.objects.filter(pk=user_id).delete()
        own_are_gone = _erase(Notification.objects.filter(recipient_id=user_id))
        return _leave(NotificationActor.objects.filter(actor_id=user_id)) and own_are_gone


def forget_subjects(post_ids: Sequence[int], comment_ids: Sequence[int]) -> bool:
    """A slice of forgetting posts with their comments, and comments, under the lock; True when nothing is left."""
    subjects = about_posts(post_ids) + about_comments(comment_ids)
    of_comments = Q(post_id__in=post_ids, comment_id__isnull=False)
    return _erase(Notification.objects.filter(Q(subject__in=subjects) | of_comments))


def forget_what_was_taken_back() -> bool:
    """A slice of what was kept as a memory only, when its time is over; True when nothing is left."""
    over = timezone.now() - MEMORY
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock()
        empty_are_gone = _erase(Notification.objects.filter(actor_count=0, created_at__lt=over))
        return _leave(NotificationActor.objects.filter(is_active=False, announced_at__lt=over)) and empty_are_gone


def _erase(entries: QuerySet[Notification]) -> bool:
    """Delete entries, their actors first; True when none is left."""
    ids = list(entries.values_list("pk", flat=True)[:ROWS])
    actors = NotificationActor.objects.filter(notification__in=ids)
    some = list(actors.values_list("pk", flat=True)[:ROWS])
    NotificationActor.objects.filter(pk__in=some).delete()
    if len(some) == ROWS:
        return False
    Notification.objects.filter(pk__in=ids).delete()
    return len(ids) < ROWS


def _leave(actors: QuerySet[NotificationActor]) -> bool:
    """Take actors out of their entries, and away what nobody is left in; True when none is left."""
    rows = list(actors.values_list("notification_id", "actor_id", "is_active")[:ROWS])
    left = Notification.objects.filter(pk__in=[entry_id for entry_id, _, is_active in rows if is_active])
    left.update(actor_count=F("actor_count") - 1)
    NotificationActor.objects.filter(pk__in=[(entry_id, actor_id) for entry_id, actor_id, _ in rows]).delete()
    left.filter(actor_count=0).delete()
    return len(rows) < ROWS
