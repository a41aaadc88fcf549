"""Requests for exports, and the end of exports: at their expiry, or with the account."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from instafeed.core.jobs.leased import UNFINISHED
from instafeed.exports.models import Export
from instafeed.exports.queue import queue
from media import file_deletion, storage

logger = logging.getLogger(__name__)

DELETE_BATCH_SIZE = 100


def query_exports(user_id: int) -> QuerySet[Export]:
    """Return the user's exports that have not expired, from the primary: a link gives access to all of the data."""
    exports = Export.objects.using(DEFAULT_DB_ALIAS).filter(user=user_id)
    return exports.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))


def get_unfinished(user_id: int) -> Export | None:
    """Return the user's export that is being made. There is at most one."""
    return Export.objects.using(DEFAULT_DB_ALIAS).filter(user=user_id, state__in=UNFINISHED).first()


@transaction.atomic
def request_export(user_id: int) -> Export:
    """Queue an export, or return the one that is being made."""
    while True:
        if export := get_unfinished(user_id):
            return export
        try:
            with transaction.atomic():
                export = Export.objects.create(user_id=user_id, path=storage.new_export_path("zip"))
        except IntegrityError:  # another request was first
            continue
        queue.request_task_on_commit()
        return export


def delete_expired() -> None:
    """Delete the exports that have expired, with their files."""
    last_id = 0
    while True:
        expired = Export.objects.using(DEFAULT_DB_ALIAS).filter(expires_at__lte=Now(), pk__gt=last_id)
        batch = list(expired.order_by("pk")[:DELETE_BATCH_SIZE])
        for export in batch:
            try:
                _delete(export)
            except storage.StorageError as error:  # the next run tries again
                logger.warning("%s is not deleted: %s", export, error)
        if len(batch) < DELETE_BATCH_SIZE:
            return
        last_id = batch[-1].pk


def delete_all(user_id: int) -> bool:
    """Delete a batch of a user's exports, finished or not. Return True when none is left. Raises StorageError."""
    exports = list(Export.objects.using(DEFAULT_DB_ALIAS).filter(user=user_id).order_by("pk")[:DELETE_BATCH_SIZE])
    for export in exports:
        _delete(export)
    return len(exports) < DELETE_BATCH_SIZE


def _delete(export: Export) -> None:
    """Delete an export and its parts, and schedule the deletion of its files. Raises StorageError.

    A worker that is making it loses its lease, and its upload. It may have read the id of its upload, or complete its
    file, only now: so the row is locked and read again, and the file is deleted a second time later.
    """
    with transaction.atomic():
        locked = Export.objects.select_for_update().filter(pk=export.pk).first()
        if locked is None:
            return
        if locked.upload_id:
            storage.multipart.abort(locked.path, locked.upload_id)
        file_deletion.schedule_deletion(files_of(locked), repeat=True)
        locked.delete()


def files_of(export: Export) -> Iterable[str]:
    """Return the paths of the files that the row names."""
    return filter(None, [export.path, export.tail_path])
