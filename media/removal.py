"""Taking files away, sooner or later, for sure: a row in the transaction that made them unwanted, then a worker."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from functools import partial

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet
from django.utils import timezone

from instafeed import dispatch
from instafeed.ids import first_id_at
from media import storage, tasks, variants
from media.models import Media, Removal, Status
from media.storage.backend import UPLOAD_TTL

logger = logging.getLogger(__name__)

AT_ONCE = 50  # removals; each is up to nine files
TRIES = 3  # one by one, while the storage refuses everything
ORPHANS_AT_ONCE = 200
UNWANTED_AFTER = timedelta(hours=24)  # without a post
ABANDONED_AFTER = timedelta(hours=2)  # an upload that never came; its form is valid for minutes
LONGEST_PAUSE = timedelta(hours=1)
DOUBTFUL = timedelta(minutes=10)  # until files that no row names are taken for leftovers
# By then whoever was at work on a picture is done or dead, and no form of a direct upload is valid any more.
LAST_WRITES = timedelta(seconds=UPLOAD_TTL + 300)


def remove_later(paths: Iterable[str], *, public_key: str = "", again: bool = False) -> None:
    """Have files deleted once the current transaction commits; whether they exist does not matter.

    `public_key`: copies of everything under it are taken out of the CDN as well. `again`: files may still be written
    there, by whom no row tells any more, so they are deleted once more when that is over.
    """
    wanted = sorted(set(filter(None, paths)))
    if not wanted:
        return
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        raise transaction.TransactionManagementError("removals belong inside the change's transaction")
    Removal.objects.create(paths=wanted, public_key=public_key)
    if again:
        Removal.objects.create(paths=wanted, due_at=timezone.now() + LAST_WRITES)
    transaction.on_commit(partial(dispatch.nudge, tasks.remove_files), robust=True)


def announce(paths: Sequence[str]) -> Removal:
    """Before files are written that no row names yet: they go after `DOUBTFUL`, unless that is taken back in time."""
    return Removal.objects.create(paths=list(paths), due_at=timezone.now() + DOUBTFUL)


def take_back(announced: Removal) -> bool:
    """The files are wanted from the current transaction on; False if some of them are gone by now."""
    return bool(Removal.objects.filter(pk=announced.pk).delete()[0])


def remove_slice() -> bool:
    """Delete some of what is due; False when there was nothing to do. Postponed while the storage is away."""
    with transaction.atomic():
        due = Removal.objects.select_for_update(skip_locked=True).filter(due_at__lte=timezone.now())
        rows = list(due.order_by("due_at")[:AT_ONCE])
        if not rows:
            return False
        gone = rows if _remove(rows) else _one_by_one(rows if len(rows) > 1 else [])
        Removal.objects.filter(pk__in=[row.pk for row in gone]).delete()
        _put_off([row for row in rows if row not in gone])
    return bool(gone)


def remove_pictures(keys: Collection[str]) -> None:
    """Delete now what is to go of these public pictures. Waits for whoever is at it; raises StorageError."""
    _remove_now(Removal.objects.filter(public_key__in=keys))


def remove_newest_pictures() -> None:
    """The same for those that became unwanted last."""
    due = Removal.objects.filter(due_at__lte=timezone.now()).exclude(public_key="")
    _remove_now(Removal.objects.filter(pk__in=list(due.order_by("-pk").values_list("pk", flat=True)[:AT_ONCE])))


def _remove_now(wanted: QuerySet[Removal]) -> None:
    with transaction.atomic():
        rows = list(wanted.select_for_update().order_by("pk"))
        _delete(rows)
        Removal.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _one_by_one(rows: Sequence[Removal]) -> list[Removal]:
    """Those that could be removed, so that one that can't holds up no other; all but a few while nothing can."""
    gone: list[Removal] = []
    for tried, row in enumerate(rows):
        if _remove([row]):
            gone.append(row)
        elif tried >= TRIES and not gone:
            break
    return gone


def _remove(rows: Sequence[Removal]) -> bool:
    try:
        _delete(rows)
    except storage.StorageError as error:
        logger.warning("%d removals are put off: %s", len(rows), error)
        return False
    return True


def _delete(rows: Sequence[Removal]) -> None:
    """The files, and what a CDN holds of them. Raises storage.StorageError."""
    paths = [path for row in rows for path in row.paths]
    storage.delete(paths)
    storage.purge([row.public_key for row in rows if row.public_key])
    storage.purge_files([path for path in paths if path.startswith("avatars/")])


def _put_off(rows: Sequence[Removal]) -> None:
    for row in rows:
        row.attempts = min(row.attempts + 1, 15)
        row.due_at = timezone.now() + min(timedelta(seconds=2**row.attempts), LONGEST_PAUSE)
    Removal.objects.bulk_update(rows, ["attempts", "due_at"])


@transaction.atomic
def delete_media(media: Collection[Media]) -> None:
    """Delete rows, which the caller has locked, with all their files."""
    for picture in media:
        paths = [picture.incoming, *variants.paths_of(picture)]
        public_key = picture.key if picture.is_public else ""
        remove_later(paths, public_key=public_key, again=bool(picture.incoming))
    Media.objects.filter(pk__in=[picture.pk for picture in media]).delete()


@transaction.atomic
def delete_orphans() -> int:
    """Delete some of what nobody wants: pictures without a post for a day, uploads that never came. How many."""
    now = timezone.now()
    unattached = Media.objects.select_for_update(skip_locked=True).filter(is_attached=False)
    # Ids are times: the partial index holds what is unattached in this order.
    old = unattached.filter(pk__lt=first_id_at(now - UNWANTED_AFTER)).order_by("pk")[:ORPHANS_AT_ONCE]
    abandoned = unattached.filter(pk__lt=first_id_at(now - ABANDONED_AFTER), status=Status.UPLOADING).order_by("pk")[
        :ORPHANS_AT_ONCE
    ]
    found = {media.pk: media for media in [*old, *abandoned]}
    delete_media(found.values())
    return len(found)
