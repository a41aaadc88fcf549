"""Forgetting: what is gone leaves no entry, in bounded slices that may stop anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from social.models import Notification, NotificationActor, NotificationEvent, NotificationKind, NotificationState
from social.notifications.aggregation_keys import comment_keys, post_keys
from social.notifications.writer_lock import lock_writer

DELETE_BATCH_SIZE = 1_000  # deleted at once, of either table
RENOTIFY_COOLDOWN = timedelta(days=1)  # for which who took something back and does it again is no news

# Raw: `pk__in` is a condition for each pair: a slice of a thousand took 255 ms, not 45.
_DELETE_ACTORS = """
DELETE FROM social_notificationactor AS actor USING unnest(%s::bigint[], %s::bigint[]) AS gone (entry, actor)
WHERE actor.notification_id = gone.entry AND actor.actor_id = gone.actor
"""
# Raw: the ORM would read the entries, and look for their actors once more, a hundred at a time.
_DELETE_ENTRIES = "DELETE FROM social_notification WHERE id = ANY(%s)"


def delete_for_user(user_id: int) -> bool:
    """A slice of erasing one who no longer has access, as recipient and as actor; True when nothing is left.

    Events of the inactive are dropped, so nothing comes after.
    """
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_writer()
        NotificationEvent.objects.filter(Q(recipient_id=user_id) | Q(actor_id=user_id)).delete()
        NotificationState.objects.filter(pk=user_id).delete()
        own_are_gone = _delete_entries(Notification.objects.filter(recipient_id=user_id))
        return _remove_actors(NotificationActor.objects.filter(actor_id=user_id)) and own_are_gone


def delete_for_targets(post_ids: Sequence[int], comment_ids: Sequence[int]) -> bool:
    """A slice of forgetting posts with their comments, and comments, under the lock; True when nothing is left."""
    subjects = post_keys(post_ids) + comment_keys(comment_ids)
    # What moderators said of them stays.
    of_comments = Q(post_id__in=post_ids, comment_id__isnull=False) & ~Q(kind=NotificationKind.WARNING)
    return _delete_entries(Notification.objects.filter(Q(subject__in=subjects) | of_comments))


def delete_retracted() -> bool:
    """A slice of what was kept as a memory only, when its time is over; True when nothing is left."""
    over = timezone.now() - RENOTIFY_COOLDOWN
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_writer()
        empty_are_gone = _delete_entries(Notification.objects.filter(actor_count=0, created_at__lt=over))
        return (
            _remove_actors(NotificationActor.objects.filter(is_active=False, announced_at__lt=over)) and empty_are_gone
        )


def _delete_entries(entries: QuerySet[Notification]) -> bool:
    """Delete entries, their actors first; True when none is left."""
    ids = list(entries.values_list("pk", flat=True)[:DELETE_BATCH_SIZE])
    if len(_delete_actors(NotificationActor.objects.filter(notification__in=ids))) == DELETE_BATCH_SIZE:
        return False
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELETE_ENTRIES, [ids])
    return len(ids) < DELETE_BATCH_SIZE


def _remove_actors(actors: QuerySet[NotificationActor]) -> bool:
    """Take actors out of their entries, and away what nobody is left in; True when none is left.

    What too many have taken back to be erased at once is empty, and goes when its time is over.
    """
    gone = _delete_actors(actors)
    left = Notification.objects.filter(pk__in=[entry_id for entry_id, _, is_active in gone if is_active])
    left.update(actor_count=F("actor_count") - 1)
    _delete_entries(left.filter(actor_count=0))
    return len(gone) < DELETE_BATCH_SIZE


def _delete_actors(actors: QuerySet[NotificationActor]) -> list[tuple[int, int, bool]]:
    """Delete at most ROWS of the actors; their entries, ids and whether they were active."""
    rows = list(actors.values_list("notification_id", "actor_id", "is_active")[:DELETE_BATCH_SIZE])
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELETE_ACTORS, [[entry_id for entry_id, _, _ in rows], [actor_id for _, actor_id, _ in rows]])
    return rows
