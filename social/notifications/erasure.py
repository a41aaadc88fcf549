"""Forgetting: what is gone leaves no entry, in bounded slices that may stop anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from social.models import Notification, NotificationActor, NotificationEvent, NotificationKind, NotificationState
from social.notifications.lock import lock
from social.notifications.subjects import about_comments, about_posts

ROWS = 1_000  # deleted at once, of either table
MEMORY = timedelta(days=1)  # for which who took something back and does it again is no news

# Raw: `pk__in` is a condition for each pair: a slice of a thousand took 255 ms, not 45.
_DELETE_ACTORS = """
DELETE FROM social_notificationactor AS actor USING unnest(%s::bigint[], %s::bigint[]) AS gone (entry, actor)
WHERE actor.notification_id = gone.entry AND actor.actor_id = gone.actor
"""
# Raw: the ORM would read the entries, and look for their actors once more, a hundred at a time.
_DELETE_ENTRIES = "DELETE FROM social_notification WHERE id = ANY(%s)"


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
    # What moderators said of them stays.
    of_comments = Q(post_id__in=post_ids, comment_id__isnull=False) & ~Q(kind=NotificationKind.WARNING)
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
    if len(_take(NotificationActor.objects.filter(notification__in=ids))) == ROWS:
        return False
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELETE_ENTRIES, [ids])
    return len(ids) < ROWS


def _leave(actors: QuerySet[NotificationActor]) -> bool:
    """Take actors out of their entries, and away what nobody is left in; True when none is left.

    What too many have taken back to be erased at once is empty, and goes when its time is over.
    """
    gone = _take(actors)
    left = Notification.objects.filter(pk__in=[entry_id for entry_id, _, is_active in gone if is_active])
    left.update(actor_count=F("actor_count") - 1)
    _erase(left.filter(actor_count=0))
    return len(gone) < ROWS


def _take(actors: QuerySet[NotificationActor]) -> list[tuple[int, int, bool]]:
    """Delete at most ROWS of the actors; their entries, ids and whether they were active."""
    rows = list(actors.values_list("notification_id", "actor_id", "is_active")[:ROWS])
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELETE_ACTORS, [[entry_id for entry_id, _, _ in rows], [actor_id for _, actor_id, _ in rows]])
    return rows
