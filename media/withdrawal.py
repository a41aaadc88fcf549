"""Taking pictures out of public sight while somebody waits for it: a moderator, whose page says that they are gone.

What `placement` and `removal` do sooner or later, done at once for a few pictures, in a thread that nobody waits for
longer than `PATIENCE`. All of it may fail, be slow, or die: what is left to do is in the database, and the workers,
who have been nudged, do the same meanwhile.

The thread needs a second connection of the pool that has one for each thread of the process, while whoever waits for
it keeps their own: so there is one withdrawal at a time, and where one is at work, all others are left to the workers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.dispatch import receiver

from accounts.signals import files_unwanted
from media import placement, removal, storage
from media.models import Media, Status

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds
AT_ONCE = 10  # pictures, a post's most: moved, then removed

_turn = threading.Lock()  # held by the thread at work


def withdraw(owner_ids: Collection[int], first: Sequence[int] = ()) -> None:
    """Move what these owners should not have in public any more, and delete the public files; after the commit.

    The pictures `first` come before all others. Returns when that is done, or failed, or takes longer than `PATIENCE`;
    at once if another withdrawal is at work in this process. Does not raise.
    """
    if not _turn.acquire(blocking=False):
        logger.warning("pictures are left to the workers to take out of public sight: another withdrawal is at work")
        return
    arguments = (list(owner_ids), list(first), time.monotonic() + PATIENCE)
    worker = threading.Thread(target=_work, args=arguments, name="withdrawal", daemon=True)
    try:
        worker.start()
    except RuntimeError as error:  # the machine has no more threads
        _turn.release()
        logger.warning("pictures are left to the workers to take out of public sight: %s", error)
    else:
        worker.join(PATIENCE)


@receiver(files_unwanted)
def _withdraw_all(user_ids: Sequence[int], **_: Any) -> None:
    withdraw(user_ids)


def _work(owner_ids: list[int], first: list[int], ends: float) -> None:
    try:
        for batch in _batches(owner_ids, first, ends):
            for media in batch:
                placement.move(media)
            removal.remove_pictures([media.key for media in batch])
        removal.remove_newest_pictures()  # a worker may have moved some, and not have come to this yet
    except (storage.StorageError, OperationalError) as error:  # also: no connection is free
        logger.warning("pictures are left to the workers to take out of public sight: %s", error)
    except Exception:
        logger.exception("pictures are left to the workers to take out of public sight")
    finally:
        try:
            connections.close_all()
        finally:
            _turn.release()


def _batches(owner_ids: list[int], first: list[int], ends: float) -> Iterator[list[Media]]:
    """What lies in public and should not, until there is nothing or the time is up. No picture comes twice."""
    tried: set[int] = set()
    while time.monotonic() < ends:
        batch = list(_wrongly_public(owner_ids, first).exclude(pk__in=tried)[:AT_ONCE])
        if not batch:
            return
        tried.update(media.pk for media in batch)
        yield batch


def _wrongly_public(owner_ids: list[int], first: list[int]) -> QuerySet[Media]:
    public = Media.objects.using(DEFAULT_DB_ALIAS).filter(status=Status.READY, is_public=True, owner__in=owner_ids)
    public = public.filter(placement.BELONGS_IN_PRIVATE)
    turn = Case(When(pk__in=first, then=Value(0)), default=Value(1), output_field=IntegerField())
    return public.order_by(turn, "-pk")
