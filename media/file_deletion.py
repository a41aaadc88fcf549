"""Taking files away, sooner or later, for sure: a row in the transaction that made them unwanted, then a worker."""

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

DELETION_BATCH_SIZE = 50  # removals; each is up to nine files
MAX_SINGLE_FAILURES = 3  # one by one, while the storage refuses everything
ORPHANS_BATCH_SIZE = 200
UNATTACHED_TTL = timedelta(hours=24)  # without a post
ABANDONED_UPLOAD_TTL = timedelta(hours=2)  # an upload that never came; its form is valid for minutes
MAX_RETRY_DELAY = timedelta(hours=1)
UNCONFIRMED_TTL = timedelta(minutes=10)  # until files that no row names are taken for leftovers
# By then whoever was at work on a picture is done or dead, and no form of a direct upload is valid any more.
LATE_WRITES_TIMEOUT = timedelta(seconds=UPLOAD_TTL + 300)


def schedule_deletion(paths: Iterable[str], *, public_key: str = "", again: bool = False) -> None:
    """Have files deleted once the current transaction commits; whether they exist does not matter.

    `public_key`: copies of everything under it are taken out of the CDN as well. `again`: files may still be written
    there, by whom no row tells any more, so they are deleted once more when that is over.
    """
    wanted = sorted(set(filter(None, paths)))
    if not wanted:
        return
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        raise transaction.TransactionManagementError("removals belong inside the change's transaction")
    FileDeletion.objects.create(paths=wanted, public_key=public_key)
    if again:
        FileDeletion.objects.create(paths=wanted, due_at=timezone.now() + LATE_WRITES_TIMEOUT)
    transaction.on_commit(partial(enqueue.try_enqueue, queues.REMOVE_FILES), robust=True)


def register_pending_files(paths: Sequence[str]) -> FileDeletion:
    """Before files are written that no row names yet: they go after `UNCONFIRMED_TTL`, unless that is taken back in time."""
    return FileDeletion.objects.create(paths=list(paths), due_at=timezone.now() + UNCONFIRMED_TTL)


def confirm_files(announced: FileDeletion) -> bool:
    """The files are wanted from the current transaction on; False if some of them are gone by now."""
    return bool(FileDeletion.objects.filter(pk=announced.pk).delete()[0])


def delete_due_files() -> bool:
    """Delete some of what is due; False when there was nothing to do. Postponed while the storage is away."""
    with transaction.atomic():
        due = FileDeletion.objects.select_for_update(skip_locked=True).filter(due_at__lte=timezone.now())
        rows = list(due.order_by("due_at")[:DELETION_BATCH_SIZE])
        if not rows:
            return False
        gone = rows if _try_delete(rows) else _delete_one_by_one(rows if len(rows) > 1 else [])
        FileDeletion.objects.filter(pk__in=[row.pk for row in gone]).delete()
        _retry_later([row for row in rows if row not in gone])
    return bool(gone)


def delete_public_files(keys: Collection[str]) -> None:
    """Delete now what is to go of these public pictures. Waits for whoever is at it; raises StorageError."""
    _delete_now(FileDeletion.objects.filter(public_key__in=keys))


def delete_newest_public_files() -> None:
    """The same for those that became unwanted last."""
    due = FileDeletion.objects.filter(due_at__lte=timezone.now()).exclude(public_key="")
    _delete_now(
        FileDeletion.objects.filter(pk__in=list(due.order_by("-pk").values_list("pk", flat=True)[:DELETION_BATCH_SIZE]))
    )


def _delete_now(wanted: QuerySet[FileDeletion]) -> None:
    with transaction.atomic():
        rows = list(wanted.select_for_update().order_by("pk"))
        _delete_files(rows)
        FileDeletion.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _delete_one_by_one(rows: Sequence[FileDeletion]) -> list[FileDeletion]:
    """Those that could be removed, so that one that can't holds up no other; all but a few while nothing can."""
    gone: list[FileDeletion] = []
    for tried, row in enumerate(rows):
        if _try_delete([row]):
            gone.append(row)
        elif tried >= MAX_SINGLE_FAILURES and not gone:
            break
    return gone


def _try_delete(rows: Sequence[FileDeletion]) -> bool:
    try:
        _delete_files(rows)
    except storage.StorageError as error:
        logger.warning("%d removals are put off: %s", len(rows), error)
        return False
    return True


def _delete_files(rows: Sequence[FileDeletion]) -> None:
    """The files, and what a CDN holds of them. Raises storage.StorageError."""
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
    """Delete rows, which the caller has locked, with all their files."""
    for picture in media:
        paths = [picture.original_path, *variants.possible_paths(picture)]
        public_key = picture.key if picture.is_public else ""
        schedule_deletion(paths, public_key=public_key, again=bool(picture.original_path))
    Media.objects.filter(pk__in=[picture.pk for picture in media]).delete()


@transaction.atomic
def delete_orphans() -> int:
    """Delete some of what nobody wants: pictures without a post for a day, uploads that never came. How many."""
    now = timezone.now()
    unattached = Media.objects.select_for_update(skip_locked=True).filter(is_attached=False)
    # Ids are times: the partial index holds what is unattached in this order.
    old = unattached.filter(pk__lt=first_id_at(now - UNATTACHED_TTL)).order_by("pk")[:ORPHANS_BATCH_SIZE]
    abandoned = unattached.filter(pk__lt=first_id_at(now - ABANDONED_UPLOAD_TTL), status=Status.UPLOADING).order_by(
        "pk"
    )[:ORPHANS_BATCH_SIZE]
    found = {media.pk: media for media in [*old, *abandoned]}
    delete_media(found.values())
    return len(found)
