"""Make exports: a ZIP with a user's pictures and data, written to the storage in parts.

The worker claims one export, works for about a second and releases it, so exports of other users and other work come
in between. A slice does one of these:

1. It adds pictures (`instafeed.exports.pictures`) to the ZIP, after those of the slice before, and stores them as a
   part.
2. When no pictures are left, it adds `export.json` and the directory of the ZIP, and completes the file.

A slice that is killed leaves nothing that counts: the row and the rows of its slices say up to where the ZIP is
written, and are saved together. The slice is done again, with the same part number. The data comes last because it says
which pictures are in the ZIP.

Memory is bounded by the pictures of one slice, which are collected in a temporary file.

A part of S3 has at least 5 MiB. A slice with less keeps it in a file of its own, the tail, with which the next slice
begins. Otherwise a slice with 10,000 tiny pictures would take minutes.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from accounts.export import stream_export
from accounts.mail import outbox
from accounts.models import MailKind, User
from instafeed.core.jobs.leased import Outcome, now_plus
from instafeed.exports.archive import Slice, iterate_files, iterate_parts, write_end
from instafeed.exports.models import Export, ExportSlice
from instafeed.exports.pictures import has_file, iterate_pictures, open_avatar, open_picture, query_pictures
from instafeed.exports.queue import queue
from instafeed.exports.requests import files_of
from media import file_deletion, storage, tempdirs

logger = logging.getLogger(__name__)

SLICE_SECONDS = 1.0  # of work before others get their turn
PART_SIZE = 8 * 2**20  # bytes after which a slice ends; S3 allows 10,000 parts
RENEWAL_SECONDS = 5.0  # between renewals of the lease while the data is written
MAX_FAILURES = 12  # in a row, of workers that raise an error or die; about three quarters of an hour
MAX_AGE = timedelta(days=2)  # also of an export that waits for the storage, or is begun again and again
FAILURE_MESSAGE = "The export could not be made. Request a new one."


class LeaseLost(Exception):
    """Another worker has the export, or it was deleted."""


def process_next() -> Outcome:
    """Work for about a second on the export that is due longest."""
    return queue.run_next(_work)


def _work(export: Export) -> Outcome:
    if export.attempts > MAX_FAILURES or export.created_at < timezone.now() - MAX_AGE:
        return _fail(export)
    try:
        if not export.upload_id:
            _begin(export)
        return _add_pictures(export) or _complete(export)
    except LeaseLost:
        return Outcome.OVERTAKEN
    except storage.UploadLost as error:
        # Also the answer to a second completion, after the first one's answer was lost.
        size = storage.size(export.path)
        return _begin_again(export, error) if size is None else _finish(export, size)


def _begin(export: Export) -> None:
    """Count the pictures and begin the file in the storage."""
    export.picture_count = query_pictures(export.user_id, export.pk).count()
    export.upload_id = storage.multipart.begin(export.path)
    try:
        _require_lease(export, upload_id=export.upload_id, picture_count=export.picture_count)
    except LeaseLost:
        storage.multipart.abort(export.path, export.upload_id)
        raise


def _require_lease(export: Export, **changes: object) -> None:
    """Renew the lease and save `changes`. Raises LeaseLost."""
    if not queue.owned([export]).update(due_at=now_plus(queue.lease), **changes):
        raise LeaseLost


# --- Pictures ----------------------------------------------------------------------------------------


def _add_pictures(export: Export) -> Outcome | None:
    """Add pictures for about a second. Return None if none is left."""
    left = query_pictures(export.user_id, export.pk).filter(pk__gt=export.last_media_id)
    if export.slice_count and not left.exists():
        return None
    ends = time.monotonic() + SLICE_SECONDS
    with tempfile.TemporaryFile(dir=tempdirs.tempdirs_root()) as file:
        added = Slice(export, file)
        with added.zip:
            if not export.slice_count:
                _add_avatar(export, added)
            for media in iterate_pictures(export.user_id, export.last_media_id, export.pk):
                if has_file(media):
                    added.add(media.pk, open_picture(media))
                export.pictures_done, export.last_media_id = export.pictures_done + 1, media.pk
                if time.monotonic() > ends or added.size >= PART_SIZE:
                    break
            return _store(export, added)


def _add_avatar(export: Export, added: Slice) -> None:
    user = User.objects.using(DEFAULT_DB_ALIAS).get(pk=export.user_id)
    if user.avatar_path:
        added.add(None, open_avatar(user))


def _store(export: Export, added: Slice) -> Outcome:
    """Store what a slice added, as a part or as the new tail, and save the checkpoint."""
    row = ExportSlice(
        export=export,
        number=export.slice_count,
        pictures=added.pictures,
        entry_count=added.zip.entry_count,
        directory=added.zip.close(),
    )
    size = added.size
    _require_lease(export)
    former_tail, new_tail, pending = export.tail_path, "", None
    if size >= storage.multipart.min_part_size():
        row.part = storage.multipart.put(export.path, export.upload_id, export.part_count + 1, added.file)
    else:
        new_tail = storage.new_export_path("part")
        pending = file_deletion.register_pending_files([new_tail])
        storage.save(new_tail, added.file, "application/octet-stream")
    with transaction.atomic():
        is_saved = queue.checkpoint(
            export,
            pictures_done=export.pictures_done,
            last_media_id=export.last_media_id,
            slice_count=export.slice_count + 1,
            part_count=export.part_count + (row.part is not None),
            size=export.size - export.tail_size + size,
            tail_path=new_tail,
            tail_size=size if new_tail else 0,
        )
        if not is_saved or (pending and not file_deletion.confirm_files(pending)):
            transaction.set_rollback(True)
            return Outcome.OVERTAKEN
        row.save(force_insert=True)
        file_deletion.schedule_deletion([former_tail])
    return Outcome.CONTINUED


# --- The end -----------------------------------------------------------------------------------------


def _complete(export: Export) -> Outcome:
    """Add the data and the directory, and complete the file, unless a worker that died has done so."""
    size = storage.size(export.path)
    if size is None:
        with tempfile.TemporaryFile(dir=tempdirs.tempdirs_root()) as file:
            data = _renewing(export, stream_export(export.user_id, files=iterate_files(export)))
            size = export.size - export.tail_size + write_end(export, file, data)
            _require_lease(export)
            last = storage.multipart.put(export.path, export.upload_id, export.part_count + 1, file)
        _require_lease(export)
        storage.multipart.complete(export.path, export.upload_id, [*iterate_parts(export), last])
    else:  # of that worker, or the file is of an upload that was given up
        storage.multipart.abort(export.path, export.upload_id)
    return _finish(export, size)


def _renewing(export: Export, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces, and renew the lease meanwhile. Raises LeaseLost."""
    renewed_at = time.monotonic()
    for piece in pieces:
        if time.monotonic() > renewed_at + RENEWAL_SECONDS:
            _require_lease(export)
            renewed_at = time.monotonic()
        yield piece


@transaction.atomic
def _finish(export: Export, size: int) -> Outcome:
    expires_at = timezone.now() + timedelta(days=settings.EXPORT_RETENTION_DAYS)
    # The parts are gone, and so is their upload.
    changes = {"size": size, "expires_at": expires_at, "upload_id": "", "tail_path": "", "tail_size": 0}
    if not queue.finish(export, **changes):
        return Outcome.OVERTAKEN
    file_deletion.schedule_deletion([export.tail_path])
    ExportSlice.objects.filter(export=export).delete()
    until = f"{expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    outbox.enqueue_notice(MailKind.EXPORT_NOTICE, User.objects.get(pk=export.user_id), until=until)
    return Outcome.FINISHED


def _begin_again(export: Export, error: Exception) -> Outcome:
    """Begin again with the first picture: the storage has lost parts, or has others than those that were stored."""
    if not queue.renew(export):
        return Outcome.OVERTAKEN
    storage.multipart.abort(export.path, export.upload_id)
    changes: dict[str, Any] = {
        "upload_id": "",
        "last_media_id": 0,
        "pictures_done": 0,
        "slice_count": 0,
        "part_count": 0,
    }
    changes |= {"size": 0, "tail_path": "", "tail_size": 0}
    logger.warning("%s begins again: %r", export, error)
    with transaction.atomic():
        if not queue.retry_later(export, error, **changes):
            return Outcome.OVERTAKEN
        file_deletion.schedule_deletion([export.tail_path])
        ExportSlice.objects.filter(export=export).delete()
    return Outcome.FAILED


def _fail(export: Export) -> Outcome:
    """Give an export up, with a text for the user, and delete its parts."""
    with transaction.atomic():
        expires_at = timezone.now() + timedelta(days=settings.EXPORT_RETENTION_DAYS)
        if not queue.owned([export]).update(expires_at=expires_at):
            return Outcome.OVERTAKEN
        queue.give_up(export, FAILURE_MESSAGE)
        file_deletion.schedule_deletion(files_of(export), repeat=True)
        ExportSlice.objects.filter(export=export).delete()
    try:
        if export.upload_id:
            storage.multipart.abort(export.path, export.upload_id)
    except storage.StorageError as error:  # the expiry aborts it again
        logger.warning("the parts of %s are not deleted: %s", export, error)
    return Outcome.FAILED
