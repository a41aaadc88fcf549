"""Immediate removal of pictures from their public URLs, while a moderator's request waits for it.

A thread does at once, for a few pictures, what the workers do later (`relocation`, `file_deletion`). The request waits
at most `JOIN_TIMEOUT` for it. The thread may fail, be slow or die: the remaining work is in the database and
its tasks are enqueued already, so workers finish it.

The thread needs a database connection while the request keeps its own, and the pool has one per thread of the process.
So only one such thread runs at a time, and requests that find it running leave their pictures to the workers.
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

from accounts.models import User
from accounts.signals import public_files_revoked
from media import avatars, file_deletion, relocation, storage
from media.models import Media, Status

logger = logging.getLogger(__name__)

JOIN_TIMEOUT = 5.0  # seconds
UNPUBLISH_BATCH_SIZE = 10  # pictures moved before their public files are deleted: the most that a post has

_running = threading.Lock()  # held by the running thread


def unpublish_files(owner_ids: Collection[int], first: Sequence[int] = ()) -> None:
    """Move pictures and avatars of these owners that no longer belong in public, and delete their public files.

    Call it after the commit. The pictures with the ids `first` are moved first. Returns when all is done or has failed,
    at the latest after `JOIN_TIMEOUT`; at once if another thread of this process is unpublishing. Does not raise.
    """
    if not _running.acquire(blocking=False):
        logger.warning("unpublishing is left to the workers: another request of this process is unpublishing")
        return
    arguments = (list(owner_ids), list(first), time.monotonic() + JOIN_TIMEOUT)
    worker = threading.Thread(target=_run, args=arguments, name="unpublish", daemon=True)
    try:
        worker.start()
    except RuntimeError as error:  # the machine has no more threads
        _running.release()
        logger.warning("unpublishing is left to the workers: %s", error)
    else:
        worker.join(JOIN_TIMEOUT)


@receiver(public_files_revoked)
def _on_public_files_revoked(user_ids: Sequence[int], **_: Any) -> None:
    unpublish_files(user_ids)


def _run(owner_ids: list[int], first: list[int], ends: float) -> None:
    try:
        _move_avatars(owner_ids, ends)
        for batch in _batches(owner_ids, first, ends):
            for media in batch:
                relocation.move_media(media)
            file_deletion.delete_public_files([media.key for media in batch])
        # Removed avatars, and pictures that were moved by a worker that has not deleted the files yet.
        file_deletion.delete_newest_urgent_files()
    except (storage.StorageError, OperationalError) as error:  # OperationalError also if no connection is free
        logger.warning("unpublishing is left to the workers: %s", error)
    except Exception:
        logger.exception("unpublishing is left to the workers")
    finally:
        try:
            connections.close_all()
        finally:
            _running.release()


def _move_avatars(owner_ids: list[int], ends: float) -> None:
    """Move the avatars of suspended owners, and delete their public files."""
    suspended = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=owner_ids, is_active=False)
    keys = []
    for owner in suspended.filter(avatar_path__startswith=avatars.PUBLIC_PREFIX):
        if time.monotonic() < ends:
            keys.append(avatars.move_avatar(owner))
    file_deletion.delete_public_files(list(filter(None, keys)))


def _batches(owner_ids: list[int], first: list[int], ends: float) -> Iterator[list[Media]]:
    """Yield batches of wrongly public pictures until none is left or the time is up. No picture comes twice."""
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
    priority = Case(When(pk__in=first, then=Value(0)), default=Value(1), output_field=IntegerField())
    return public.order_by(priority, "-pk")
