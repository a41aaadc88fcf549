"""Delete notifications of erased users, of deleted posts and comments, retracted ones, and old ones.

Each function deletes one bounded slice in its own transaction and may stop after any slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from instafeed.core.db.snowflake import first_id_at
from social.models import (
    ModeratorMessage,
    Notification,
    NotificationActor,
    NotificationEvent,
    NotificationKind,
    NotificationState,
)
from social.notifications.aggregation_keys import comment_keys, post_keys
from social.notifications.writer_lock import lock_writer

DELETE_BATCH_SIZE = 1_000  # rows of either table in one slice
# A retracted actor is kept this long. Repeating the action within this time does not notify again.
RENOTIFY_COOLDOWN = timedelta(days=1)

_KEPT_KINDS = (NotificationKind.WARNING, NotificationKind.DECISION)  # also after the post or comment is deleted

# Raw: `pk__in` writes a condition for each pair. A slice of a thousand took 255 ms, not 45 ms.
_DELETE_ACTORS = """
DELETE FROM social_notificationactor AS actor USING unnest(%s::bigint[], %s::bigint[]) AS deleted (entry, actor)
WHERE actor.notification_id = deleted.entry AND actor.actor_id = deleted.actor
"""
# Raw: the ORM would read the entries and look for their actors again, a hundred at a time.
_DELETE_ENTRIES = "DELETE FROM social_notification WHERE id = ANY(%s)"


def delete_for_user(user_id: int) -> bool:
    """Delete a slice of an inactive user's notifications, as recipient and as actor. Return True when none is left.

    The consumer drops events of inactive users, so no new ones appear.
    """
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_writer()
        NotificationEvent.objects.filter(Q(recipient_id=user_id) | Q(actor_id=user_id)).delete()
        NotificationState.objects.filter(pk=user_id).delete()
        received = Notification.objects.filter(recipient_id=user_id)
        # Two steps, one for each partial index.
        received_done = all(_delete_entries(received.filter(is_dismissed=flag)) for flag in (False, True))
        acted_done = _remove_actors(NotificationActor.objects.filter(actor_id=user_id))
        return acted_done and received_done


def delete_for_targets(post_ids: Sequence[int], comment_ids: Sequence[int]) -> bool:
    """Delete a slice of the entries about posts, their comments, and comments. Return True when none is left.

    Must be called under the writer lock. Messages of moderators are kept.
    """
    keys = post_keys(post_ids) + comment_keys(comment_ids)
    about_comments = Q(post_id__in=post_ids, comment_id__isnull=False) & ~Q(kind__in=_KEPT_KINDS)
    return _delete_entries(Notification.objects.filter(Q(aggregation_key__in=keys) | about_comments))


def delete_retracted() -> bool:
    """Delete a slice of retracted actors and empty entries older than the cooldown. Return True when none is left."""
    cutoff = timezone.now() - RENOTIFY_COOLDOWN
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_writer()
        entries_done = _delete_entries(Notification.objects.filter(actor_count=0, created_at__lt=cutoff))
        actors_done = _remove_actors(NotificationActor.objects.filter(is_active=False, announced_at__lt=cutoff))
        return actors_done and entries_done


def delete_older(before: datetime) -> bool:
    """Delete a slice of the entries whose newest actor is from before a time. Return True when none is left.

    Warnings by moderators are kept. The texts of their other messages go with the entries.
    """
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_writer()
        old = Notification.objects.filter(created_at__lt=before).exclude(kind=NotificationKind.WARNING)
        entries_done = _delete_entries(old.order_by("created_at"))
        return _delete_decisions(before) and entries_done


def _delete_decisions(before: datetime) -> bool:
    decisions = ModeratorMessage.objects.filter(kind=NotificationKind.DECISION, pk__lt=first_id_at(before))
    ids = list(decisions.order_by("pk").values_list("pk", flat=True)[:DELETE_BATCH_SIZE])
    ModeratorMessage.objects.filter(pk__in=ids).delete()
    return len(ids) < DELETE_BATCH_SIZE


def _delete_entries(entries: QuerySet[Notification]) -> bool:
    """Delete at most DELETE_BATCH_SIZE entries, their actors first. Return True when none is left."""
    ids = list(entries.values_list("pk", flat=True)[:DELETE_BATCH_SIZE])
    if len(_delete_actors(NotificationActor.objects.filter(notification__in=ids))) == DELETE_BATCH_SIZE:
        return False
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELETE_ENTRIES, [ids])
    return len(ids) < DELETE_BATCH_SIZE


def _remove_actors(actors: QuerySet[NotificationActor]) -> bool:
    """Delete a slice of actors, count them down and delete entries that become empty. Return True when none is left.

    An empty entry with too many retracted actors for one slice is deleted later, by `delete_retracted`.
    """
    deleted = _delete_actors(actors)
    affected = Notification.objects.filter(pk__in=[entry_id for entry_id, _, is_active in deleted if is_active])
    affected.update(actor_count=F("actor_count") - 1)
    _delete_entries(affected.filter(actor_count=0))
    return len(deleted) < DELETE_BATCH_SIZE


def _delete_actors(actors: QuerySet[NotificationActor]) -> list[tuple[int, int, bool]]:
    """Delete at most DELETE_BATCH_SIZE actors. Return (entry id, actor id, was active) of each."""
    rows = list(actors.values_list("notification_id", "actor_id", "is_active")[:DELETE_BATCH_SIZE])
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELETE_ACTORS, [[entry_id for entry_id, _, _ in rows], [actor_id for _, actor_id, _ in rows]])
    return rows
