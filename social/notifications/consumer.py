"""The worker's side of the outbox: events are applied in order, by one drainer at a time, and deleted.

A batch is one transaction: a worker that dies in the middle leaves it undone, none is applied twice. A thousand
events of one entry change it once. Events that cannot be applied, which only a bug can write, are set aside and
hold up nobody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, transaction
from django.utils import timezone

from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, guarded_client
from social.models import NotificationEvent, Verb
from social.notifications import aggregation
from social.notifications.deletion import delete_for_targets
from social.notifications.writer_lock import lock_writer, try_lock_consumer

logger = logging.getLogger(__name__)

EVENT_BATCH_SIZE = 500  # events
SLICE_SECONDS = 1.0  # seconds of work before a task makes room for others
_TRANSIENT_ERRORS = (OperationalError, InterfaceError, SoftTimeLimitExceeded)


def consume_batches() -> bool:
    """Apply what waits, for about a second; True when more is left to do."""
    ends = time.monotonic() + SLICE_SECONDS
    while True:
        more = consume_batch()
        if more is None:
            return False
        # Somebody may have found the lock taken while this drainer had already looked for events.
        if not (more or _is_consumer_requested()):
            return False
        if time.monotonic() > ends:
            return True


def consume_batch() -> bool | None:
    """Apply the next events, in one transaction; whether more may be waiting. None while somebody else drains.

    What is to be forgotten may be a great deal and holds up nobody: a batch does one slice of it, after its events.
    """
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        if not try_lock_consumer():
            return None
        lock_writer()
        _clear_consumer_request()
        forgets, events = _next_events()
        if events:
            _apply_or_set_aside(events)
            _delete_events(events)
        all_forgotten = not forgets or delete_for_targets(*_target_ids(forgets))
        if forgets and all_forgotten:
            _delete_events(forgets)
    return not all_forgotten or EVENT_BATCH_SIZE in (len(forgets), len(events))


def _next_events() -> tuple[list[NotificationEvent], list[NotificationEvent]]:
    """What is to be forgotten, and the other events that come next.

    Nothing is told of what is forgotten after that, but all that was told before must be applied by then. So what
    is to be forgotten is read first, and if more other events wait than are read, only as far as those.
    """
    waiting = NotificationEvent.objects.using(DEFAULT_DB_ALIAS).filter(failed_at=None).order_by("pk")
    forgets = list(waiting.filter(verb=Verb.DELETE)[:EVENT_BATCH_SIZE])
    events = list(waiting.exclude(verb=Verb.DELETE)[:EVENT_BATCH_SIZE])
    if len(events) == EVENT_BATCH_SIZE:
        forgets = [forget for forget in forgets if forget.pk < events[-1].pk]
    return forgets, events


def _delete_events(events: Sequence[NotificationEvent]) -> None:
    NotificationEvent.objects.filter(pk__in=[event.pk for event in events], failed_at=None).delete()


def _apply_or_set_aside(events: Sequence[NotificationEvent]) -> None:
    """Apply events; what cannot be is found by halving and set aside."""
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            aggregation.apply_events(events)
    except _TRANSIENT_ERRORS:
        raise  # all of them once more, later
    except Exception:
        if len(events) == 1:
            logger.exception("notification event %s is set aside", events[0].pk)
            NotificationEvent.objects.filter(pk=events[0].pk).update(failed_at=timezone.now())
            return
        half = len(events) // 2
        _apply_or_set_aside(events[:half])
        _apply_or_set_aside(events[half:])


def _target_ids(forgotten: Sequence[NotificationEvent]) -> tuple[list[int], list[int]]:
    """Posts and comments."""
    post_ids = [event.post_id for event in forgotten if event.post_id is not None]
    return post_ids, [event.comment_id for event in forgotten if event.comment_id is not None]


def _is_consumer_requested() -> bool:
    try:
        with guarded_client() as client:
            return bool(client.exists(keys.NOTIFICATIONS_DUE))
    except CacheUnavailable:
        return False


def _clear_consumer_request() -> None:
    """Under the lock and before events are read: from now on a writer must publish a task again."""
    try:
        with guarded_client() as client:
            client.delete(keys.NOTIFICATIONS_DUE)
    except CacheUnavailable:
        pass  # it expires by itself
