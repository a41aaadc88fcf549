"""Consume the notification outbox: apply events in order, one consumer at a time, and delete them.

    consume_batches → consume_batch → _next_events → aggregation.apply_events → _delete_events
                                                   → deletion.delete_for_targets

A batch is one transaction. If a worker dies in the middle, the batch is rolled back; no event is applied twice.
A thousand events for one entry update that entry once. An event that cannot be applied, which only a bug can write,
is marked as failed and does not block the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from enum import Enum, auto
from operator import attrgetter

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, transaction
from django.utils import timezone

from instafeed.core.cache import hints
from instafeed.core.cache.hints import HintKind
from social.models import NotificationEvent, Verb
from social.notifications import aggregation
from social.notifications.deletion import delete_for_targets
from social.notifications.outbox import consumer_task
from social.notifications.writer_lock import lock_consumer_and_writer

logger = logging.getLogger(__name__)

EVENT_BATCH_SIZE = 500
WATCH_SECONDS = 0.25  # a look takes 5 ms of CPU, however few events it finds
SLICE_SECONDS = 1.0  # after which the task yields its worker to other tasks
_TRANSIENT_ERRORS = (OperationalError, InterfaceError, SoftTimeLimitExceeded)


# Raw SQL, because each look of the consumer runs it: one snapshot and one round trip for both kinds.
_NEXT_EVENTS_SQL = """
(SELECT * FROM social_notificationevent WHERE failed_at IS NULL AND verb = %(delete)s ORDER BY id LIMIT %(limit)s)
UNION ALL
(SELECT * FROM social_notificationevent WHERE failed_at IS NULL AND verb <> %(delete)s ORDER BY id LIMIT %(limit)s)
"""


def sweep() -> None:
    """Request the consumer's task if events are pending: the task was lost, or its worker died."""
    if NotificationEvent.objects.using(DEFAULT_DB_ALIAS).filter(failed_at=None).exists():
        consumer_task.request()


class BatchResult(Enum):
    BUSY = auto()  # another consumer is running
    EMPTY = auto()  # the outbox has been read to its end
    MORE = auto()  # more events may be pending


def consume_batches() -> bool:
    """Apply pending events for about a second. Return True if more may be left.

    After events it waits for `WATCH_SECONDS` and looks again, so a steady stream of events needs no task for each.
    """
    deadline = time.monotonic() + SLICE_SECONDS
    while True:
        result = consume_batch()
        if result is BatchResult.BUSY:
            return False
        # The mark is set by `consume_batch` after events; or by a writer whose task found the lock taken after this
        # consumer had already read the outbox.
        if result is BatchResult.EMPTY and not consumer_task.is_look_coming():
            return False
        if time.monotonic() > deadline:
            return True
        if result is BatchResult.EMPTY:
            time.sleep(WATCH_SECONDS)


def consume_batch() -> BatchResult:
    """Apply the next events in one transaction.

    A DELETE event may affect many rows. Each batch runs one slice of it after its other events, so that a deletion
    does not delay them.
    """
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        if not lock_consumer_and_writer():
            return BatchResult.BUSY
        consumer_task.begin_look()
        deletions, events = _next_events()
        if deletions or events:
            consumer_task.announce_look()
        if events:
            _apply_or_mark_failed(events)
            _delete_events(events)
        all_deleted = not deletions or delete_for_targets(*_target_ids(deletions))
        if deletions and all_deleted:
            _delete_events(deletions)
    hints.publish({HintKind.NOTIFICATIONS: list({event.recipient_id for event in events})})
    more = not all_deleted or EVENT_BATCH_SIZE in (len(deletions), len(events))
    return BatchResult.MORE if more else BatchResult.EMPTY


def _next_events() -> tuple[list[NotificationEvent], list[NotificationEvent]]:
    """Return the next DELETE events and the next other events.

    Events written before a DELETE must be applied before it; none about the same target follow it. If more other
    events are pending than fit into the batch, only the DELETE events that precede the last one read are returned.
    """
    rows = NotificationEvent.objects.using(DEFAULT_DB_ALIAS).raw(
        _NEXT_EVENTS_SQL, {"delete": Verb.DELETE, "limit": EVENT_BATCH_SIZE}
    )
    read = sorted(rows, key=attrgetter("pk"))
    deletions = [event for event in read if event.verb == Verb.DELETE]
    events = [event for event in read if event.verb != Verb.DELETE]
    if len(events) == EVENT_BATCH_SIZE:
        deletions = [deletion for deletion in deletions if deletion.pk < events[-1].pk]
    return deletions, events


def _delete_events(events: Sequence[NotificationEvent]) -> None:
    NotificationEvent.objects.filter(pk__in=[event.pk for event in events], failed_at=None).delete()


def _apply_or_mark_failed(events: Sequence[NotificationEvent]) -> None:
    """Apply events. If that fails, find the bad ones by bisection and mark them as failed."""
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            aggregation.apply_events(events)
    except _TRANSIENT_ERRORS:
        raise  # the whole batch is retried later
    except Exception:
        if len(events) == 1:
            logger.exception("notification event %s failed and is skipped from now on", events[0].pk)
            NotificationEvent.objects.filter(pk=events[0].pk).update(failed_at=timezone.now())
            return
        half = len(events) // 2
        _apply_or_mark_failed(events[:half])
        _apply_or_mark_failed(events[half:])


def _target_ids(deletions: Sequence[NotificationEvent]) -> tuple[list[int], list[int]]:
    """Return (post ids, comment ids) of DELETE events."""
    post_ids = [event.post_id for event in deletions if event.post_id is not None]
    return post_ids, [event.comment_id for event in deletions if event.comment_id is not None]
