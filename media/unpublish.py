"""Taking pictures out of public sight while somebody waits for it: a moderator, whose page says that they are gone.

What `relocation` and `file_deletion` do sooner or later, done at once for a few pictures, in a thread that nobody waits for
longer than `JOIN_TIMEOUT`. All of it may fail, be slow, or die: what is left to do is in the database, and the workers,
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

from accounts.signals import public_files_revoked
from media import file_deletion, relocation, storage
from media.models import Media, Status

logger = logging.getLogger(__name__)

JOIN_TIMEOUT = 5.0  # seconds
UNPUBLISH_BATCH_SIZE = 10  # pictures, a post's most: moved, then removed

_running = threading.Lock()  # held by the thread at work


def unpublish_files(owner_ids: Collection[int], first: Sequence[int] = ()) -> None:
    """Move what these owners should not have in public any more, and delete the public files; after the commit.

    The pictures `first` come before all others. Returns when that is done, or failed, or takes longer than `JOIN_TIMEOUT`;
    at once if another withdrawal is at work in this process. Does not raise.
    """
    if not _running.acquire(blocking=False):
        logger.warning("pictures are left to the workers to take out of public sight: another withdrawal is at work")
        return
    arguments = (list(owner_ids), list(first), time.monotonic() + JOIN_TIMEOUT)
    worker = threading.Thread(target=_run, args=arguments, name="withdrawal", daemon=True)
    try:
        worker.start()
    except RuntimeError as error:  # the machine has no more threads
        _running.release()
        logger.warning("pictures are left to the workers to take out of public sight: %s", error)
    else:
        worker.join(JOIN_TIMEOUT)


@receiver(public_files_revoked)
def _on_public_files_revoked(user_ids: Sequence[int], **_: Any) -> None:
    unpublish_files(user_ids)


def _run(owner_ids: list[int], first: list[int], ends: float) -> None:
    try:
        for batch in _batches(owner_ids, first, ends):
            for media in batch:
                relocation.move_media(media)
            file_deletion.delete_public_files([media.key for media in batch])
        file_deletion.delete_newest_public_files()  # a worker may have moved some, and not have come to this yet
    except (storage.StorageError, OperationalError) as error:  # also: no connection is free
        logger.warning("pictures are left to the workers to take out of public sight: %s", error)
    except Exception:
        logger.exception("pictures are left to the workers to take out of public sight")
    finally:
        try:
            connections.close_all()
        finally:
            _running.release()


def _batches(owner_ids: list[int], first: list[int], ends: float) -> Iterator[list[Media]]:
    """What lies in public and should not, until there is nothing or the time is up. No picture comes twice."""
    tried: set[int] = set()
    while time.monotonic() < ends:
        batch = list(_wrongly_public_media(owner_ids, first).exclude(pk__in=tried)[:UNPUBLISH_BATCH_SIZE])
        if not batch:
            return
        tried.update(media.pk for media in batch)
        yield batch


def _wrongly_public_media(owner_ids: list[int], first: list[int]) -> QuerySet[Media]:
    public = Media.objects.using(DEFAULT_DB_ALIAS).filter(status=Status.READY, is_public=True, owner__in=owner_ids)
    public = public.filter(relocation.SHOULD_BE_PRIVATE)
    turn = Case(When(pk__in=first, then=Value(0)), default=Value(1), output_field=IntegerField())
    return public.order_by(turn, "-pk")
