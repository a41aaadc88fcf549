"""Reliable deletion of files: a `FileDeletion` row is written with the change, and a worker deletes the files.

The row, a leased job (`instafeed.core.jobs.leased`), is written in the transaction that makes the files unwanted. It is
deleted after the files, so no crash leaves a file behind. Files are deleted outside of transactions, and may be deleted
twice. This module also deletes media rows with their files, and orphans.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import JobState, LeasedQueue, Outcome, now_plus
from media import storage, variants
from media.models import FileDeletion, Media, Status
from media.storage.backend import INVALIDATION_BATCH_SIZE, UPLOAD_TTL

logger = logging.getLogger(__name__)

DELETION_BATCH_SIZE = INVALIDATION_BATCH_SIZE  # rows; each names up to nine files, and one pattern for the CDN
MAX_SINGLE_FAILURES = 3  # jobs tried one by one while the storage refuses all of them
MAX_HOLDING_ATTEMPTS = 20  # failures, in about ten minutes, after which an urgent job does not hold up others
ORPHANS_BATCH_SIZE = 200
UNATTACHED_TTL = timedelta(hours=24)  # of pictures without a post
ABANDONED_UPLOAD_TTL = timedelta(hours=2)  # of uploads that were never completed; their form is valid for minutes
UNCONFIRMED_TTL = timedelta(minutes=10)  # of files that no media row names yet
# By then any worker on the picture has finished or was killed, and the form of its direct upload has expired.
LATE_WRITES_TIMEOUT = timedelta(seconds=UPLOAD_TTL + 300)
# A worker that failed or died may have deleted some of the files.
NEVER_CLAIMED = Q(state=JobState.PENDING, attempts=0)


def _make_queue(jobs: QuerySet[FileDeletion], max_retry_delay: timedelta) -> LeasedQueue[FileDeletion]:
    return LeasedQueue(
        jobs,
        task=CoalescedTask(queues.REMOVE_FILES, mark_ttl=30),
        lease=timedelta(seconds=30),  # deleting files twice is harmless
        retry_delay=timedelta(seconds=1),
        max_retry_delay=max_retry_delay,
    )


queue = _make_queue(FileDeletion.objects.all(), timedelta(hours=1))
# The same rows in parts. What a moderator took down goes first.
_urgent_queue = _make_queue(FileDeletion.objects.filter(is_urgent=True), timedelta(seconds=30))
_unpurged_queue = _make_queue(FileDeletion.objects.filter(public_key="", is_urgent=False), timedelta(hours=1))


def schedule_deletion(
    paths: Iterable[str], *, public_key: str = "", repeat: bool = False, is_urgent: bool = False
) -> None:
    """Delete files after the current transaction commits. They need not exist.

    `public_key`: the CDN's copies of the files under this key are purged, too. `repeat`: a worker or an upload may
    still write these files, so they are deleted a second time after `LATE_WRITES_TIMEOUT`. `is_urgent`: a moderator
    took them down, so they are deleted before others.

    Raises TransactionManagementError outside a transaction.
    """
    wanted = sorted(set(filter(None, paths)))
    if not wanted:
        return
    if not transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        raise transaction.TransactionManagementError(
            "schedule_deletion() must be called inside the transaction of the change"
        )
    FileDeletion.objects.create(paths=wanted, public_key=public_key, is_urgent=is_urgent)
    if repeat:
        FileDeletion.objects.create(paths=wanted, due_at=now_plus(LATE_WRITES_TIMEOUT))
    queue.request_task_on_commit()


def register_pending_files(paths: Sequence[str]) -> FileDeletion:
    """Schedule the deletion of files that are about to be written and that no media row names yet.

    They are deleted after `UNCONFIRMED_TTL` unless `confirm_files` is called before.
    """
    return FileDeletion.objects.create(paths=list(paths), due_at=now_plus(UNCONFIRMED_TTL))


def confirm_files(pending: FileDeletion) -> bool:
    """Keep pending files from the current transaction on. Return False if they may already have been deleted."""
    return bool(FileDeletion.objects.filter(NEVER_CLAIMED, pk=pending.pk).delete()[0])


def delete_due_files() -> bool:
    """Delete a batch of due files. Return False if there was nothing to do, or nothing could be done."""
    return _delete_claimed(_urgent_queue.claim_due(DELETION_BATCH_SIZE)) or _delete_claimed(_claim_others())


def _delete_claimed(claimed: Sequence[FileDeletion]) -> bool:
    errors = _delete_batch(claimed) if claimed else {}
    deleted = [job for job in claimed if job.pk not in errors]
    queue.count(Outcome.FINISHED, queue.delete(deleted))
    for job in claimed:
        if (error := errors.get(job.pk)) is not None:
            (_urgent_queue if job.is_urgent else queue).retry_later(job, error)
            queue.count(Outcome.POSTPONED if isinstance(error, storage.StorageError) else Outcome.FAILED)
    return bool(deleted)


def _claim_others() -> list[FileDeletion]:
    """Claim a batch of jobs when no urgent one is due.

    A CDN accepts only so many purges at a time. So while urgent jobs wait for their retry, jobs that need a purge wait
    for them, unless the urgent ones fail again and again for a reason of their own.
    """
    urgent_jobs = FileDeletion.objects.using(DEFAULT_DB_ALIAS).filter(is_urgent=True)
    is_held = urgent_jobs.filter(attempts__lt=MAX_HOLDING_ATTEMPTS).exists()
    return (_unpurged_queue if is_held else queue).claim_due(DELETION_BATCH_SIZE)


def delete_public_files(keys: Collection[str]) -> None:
    """Delete the scheduled files of these public pictures now. Raises StorageError."""
    _delete_now(FileDeletion.objects.using(DEFAULT_DB_ALIAS).filter(public_key__in=keys))


def delete_newest_urgent_files() -> None:
    """Delete the batch of files that moderators took down last. Raises StorageError."""
    urgent = FileDeletion.objects.using(DEFAULT_DB_ALIAS).filter(is_urgent=True)
    due = urgent.filter(Q(state=JobState.RUNNING) | Q(due_at__lte=Now()))
    _delete_now(due.order_by("-pk")[:DELETION_BATCH_SIZE])


def _delete_now(wanted: QuerySet[FileDeletion]) -> None:
    """Delete files whether or not a worker has claimed them: a moderator waits, and deleting them twice is harmless."""
    jobs = list(wanted)
    _delete_files(jobs)
    FileDeletion.objects.filter(pk__in=[job.pk for job in jobs]).delete()


def _delete_batch(jobs: Sequence[FileDeletion]) -> dict[int, Exception]:
    """Delete the files of all jobs together or, if that fails, of each job separately. Return the errors by job id.

    So one bad job does not block the others. While every job fails, only the first few are tried.
    """
    try:
        _delete_files(jobs)
    except Exception as error:
        is_unexpected = not isinstance(error, storage.StorageError)
        logger.warning("%d file deletions failed: %s", len(jobs), error, exc_info=is_unexpected)
        return _delete_one_by_one(jobs, error) if len(jobs) > 1 else {jobs[0].pk: error}
    return {}


def _delete_one_by_one(jobs: Sequence[FileDeletion], error: Exception) -> dict[int, Exception]:
    errors: dict[int, Exception] = {}
    for tried, job in enumerate(jobs):
        if tried == len(errors) > MAX_SINGLE_FAILURES:
            return errors | dict.fromkeys([other.pk for other in jobs[tried:]], error)
        try:
            _delete_files([job])
        except Exception as single_error:
            errors[job.pk] = single_error
    return errors


def _delete_files(jobs: Sequence[FileDeletion]) -> None:
    """Delete the files and purge them from the CDN. Raises storage.StorageError."""
    if paths := [path for job in jobs for path in job.paths]:
        storage.delete(paths)
    published = [job for job in jobs if job.public_key]
    avatars = [path for job in published for path in job.paths if path.startswith("avatars/")]
    storage.purge([job.public_key for job in published if not set(job.paths) & set(avatars)])
    storage.purge_files(avatars)


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
