"""Reliable deletion of files: a `FileDeletion` row is written with the change, and a worker deletes the files.

The row is written in the transaction that makes the files unwanted and is deleted after them, so no crash leaves a
file behind. This module also deletes media rows with their files, and orphans.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from functools import partial

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet
from django.utils import timezone

from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs import enqueue, queues
from media import storage, variants
from media.models import FileDeletion, Media, Status
from media.storage.backend import UPLOAD_TTL

logger = logging.getLogger(__name__)

DELETION_BATCH_SIZE = 50  # rows; each names up to nine files
MAX_SINGLE_FAILURES = 3  # rows tried one by one while the storage refuses all of them
ORPHANS_BATCH_SIZE = 200
UNATTACHED_TTL = timedelta(hours=24)  # of pictures without a post
ABANDONED_UPLOAD_TTL = timedelta(hours=2)  # of uploads that were never completed; their form is valid for minutes
MAX_RETRY_DELAY = timedelta(hours=1)
UNCONFIRMED_TTL = timedelta(minutes=10)  # of files that no media row names yet
# By then any worker on the picture has finished or was killed, and the form of its direct upload has expired.
LATE_WRITES_TIMEOUT = timedelta(seconds=UPLOAD_TTL + 300)


def schedule_deletion(paths: Iterable[str], *, public_key: str = "", repeat: bool = False) -> None:
    """Delete files after the current transaction commits. They need not exist.

    `public_key`: the CDN's copies of everything under this key are purged, too. `repeat`: a worker or an upload may
    still write these files, so they are deleted a second time after `LATE_WRITES_TIMEOUT`.

    Raises TransactionManagementError outside a transaction.
    """
    wanted = sorted(set(filter(None, paths)))
    if not wanted:
        return
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        raise transaction.TransactionManagementError(
            "schedule_deletion() must be called inside the transaction of the change"
        )
    FileDeletion.objects.create(paths=wanted, public_key=public_key)
    if repeat:
        FileDeletion.objects.create(paths=wanted, due_at=timezone.now() + LATE_WRITES_TIMEOUT)
    transaction.on_commit(partial(enqueue.try_enqueue, queues.REMOVE_FILES), robust=True)


def register_pending_files(paths: Sequence[str]) -> FileDeletion:
    """Schedule the deletion of files that are about to be written and that no media row names yet.

    They are deleted after `UNCONFIRMED_TTL` unless `confirm_files` is called before.
    """
    return FileDeletion.objects.create(paths=list(paths), due_at=timezone.now() + UNCONFIRMED_TTL)


def confirm_files(pending: FileDeletion) -> bool:
    """Keep pending files from the current transaction on. Return False if they may already have been deleted."""
    return bool(FileDeletion.objects.filter(pk=pending.pk).delete()[0])


def delete_due_files() -> bool:
    """Delete a batch of due files. Return False when none was due or the storage refused all; those are retried."""
    with transaction.atomic():
        due = FileDeletion.objects.select_for_update(skip_locked=True).filter(due_at__lte=timezone.now())
        rows = list(due.order_by("due_at")[:DELETION_BATCH_SIZE])
        if not rows:
            return False
        deleted = rows if _try_delete(rows) else _delete_one_by_one(rows if len(rows) > 1 else [])
        FileDeletion.objects.filter(pk__in=[row.pk for row in deleted]).delete()
        _retry_later([row for row in rows if row not in deleted])
    return bool(deleted)


def delete_public_files(keys: Collection[str]) -> None:
    """Delete the scheduled files of these public pictures now. Waits for workers at it. Raises StorageError."""
    _delete_now(FileDeletion.objects.filter(public_key__in=keys))


def delete_newest_public_files() -> None:
    """Delete the batch of due public pictures that was scheduled last. Waits for workers at it. Raises StorageError."""
    due = FileDeletion.objects.filter(due_at__lte=timezone.now()).exclude(public_key="")
    newest = list(due.order_by("-pk").values_list("pk", flat=True)[:DELETION_BATCH_SIZE])
    _delete_now(FileDeletion.objects.filter(pk__in=newest))


def _delete_now(wanted: QuerySet[FileDeletion]) -> None:
    with transaction.atomic():
        rows = list(wanted.select_for_update().order_by("pk"))
        _delete_files(rows)
        FileDeletion.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _delete_one_by_one(rows: Sequence[FileDeletion]) -> list[FileDeletion]:
    """Delete the files of each row separately, so that one bad row does not block the others.

    Return the rows whose files are deleted. Gives up after `MAX_SINGLE_FAILURES` while every row fails.
    """
    deleted: list[FileDeletion] = []
    for tried, row in enumerate(rows):
        if _try_delete([row]):
            deleted.append(row)
        elif tried >= MAX_SINGLE_FAILURES and not deleted:
            break
    return deleted


def _try_delete(rows: Sequence[FileDeletion]) -> bool:
    try:
        _delete_files(rows)
    except storage.StorageError as error:
        logger.warning("%d file deletions are retried later: %s", len(rows), error)
        return False
    return True


def _delete_files(rows: Sequence[FileDeletion]) -> None:
    """Delete the files and purge them from the CDN. Raises storage.StorageError."""
    paths = [path for row in rows for path in row.paths]
    storage.delete(paths)
    storage.purge([row.public_key for row in rows if row.public_key])
    storage.purge_files([path for path in paths if path.startswith("avatars/")])


def _retry_later(rows: Sequence[FileDeletion]) -> None:
    for row in rows:
        row.attempts = min(row.attempts + 1, 15)
        row.due_at = timezone.now() + min(timedelta(seconds=2**row.attempts), MAX_RETRY_DELAY)
    FileDeletion.objects.bulk_update(rows, ["attempts", "due_at"])


@transaction.atomic
def delete_media(media: Collection[Media]) -> None:
    """Delete media rows, which the caller has locked, and schedule the deletion of their files."""
    for picture in media:
        paths = [picture.original_path, *variants.possible_paths(picture)]
        public_key = picture.key if picture.is_public else ""
        schedule_deletion(paths, public_key=public_key, repeat=bool(picture.original_path))
    Media.objects.filter(pk__in=[picture.pk for picture in media]).delete()


@transaction.atomic
def delete_orphans() -> int:
    """Delete a batch of pictures without a post and of abandoned uploads. Return the number of deleted rows."""
    now = timezone.now()
    unattached = Media.objects.select_for_update(skip_locked=True).filter(is_attached=False)
    # Ids contain the creation time: the partial index on unattached rows is in this order.
    old = unattached.filter(pk__lt=first_id_at(now - UNATTACHED_TTL)).order_by("pk")[:ORPHANS_BATCH_SIZE]
    uploading = unattached.filter(status=Status.UPLOADING)
    abandoned = uploading.filter(pk__lt=first_id_at(now - ABANDONED_UPLOAD_TTL)).order_by("pk")[:ORPHANS_BATCH_SIZE]
    found = {media.pk: media for media in [*old, *abandoned]}
    delete_media(found.values())
    return len(found)
