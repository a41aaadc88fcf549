"""Processing of one picture: claim its job, generate and store its variants, mark it ready. Safe to repeat.

A picture has a job while its status is PROCESSING, a leased job (`instafeed.core.jobs.leased`). Each attempt writes its
files under a new key. The `Media` row names the key before the first file is written, so that the next attempt can
delete the files of a worker that died. A worker that was overtaken deletes its files itself.
"""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import MAX_TASK_DURATION, LeasedQueue, Outcome
from instafeed.core.jobs.turns import CLAIM_ORDER, next_turn
from instafeed.core.observability.metrics import MEDIA_RESULTS, MEDIA_SECONDS
from media import file_deletion, relocation, storage, tempdirs, variants
from media.models import Media, ProcessingJob, Status
from media.processing import BadPicture, Picture, ProcessingError
from media.signals import media_changed

logger = logging.getLogger(__name__)

MAX_FAILURES = 6  # attempts that killed their worker, or failed for reasons other than the picture or the storage
RETRY_DEADLINE = timedelta(days=1)  # how long to wait for an unavailable storage
RETRY_DELAY = timedelta(seconds=5)
GAVE_UP_MESSAGE = "It could not be processed; please upload it again."

queue = LeasedQueue(
    ProcessingJob.objects.all(),
    task=CoalescedTask(queues.PROCESS_MEDIA, mark_ttl=30),
    lease=MAX_TASK_DURATION,
    retry_delay=RETRY_DELAY,
    claim_order=CLAIM_ORDER,
)


class Result(StrEnum):
    """How an attempt ended: a label of the metric."""

    READY = "ready"
    FAILED = "failed"
    RETRIED = "retried"


def enqueue(media_id: int, owner_id: int) -> None:
    """Write the job of a picture and request its task. Call it in the transaction that sets the status PROCESSING."""
    turn = next_turn(ProcessingJob, owner_id)
    ProcessingJob.objects.create(media_id=media_id, owner_id=owner_id, turn=turn)
    queue.request_task_on_commit()


def process_next() -> Outcome:
    """Process the next picture. Owners take turns (`instafeed.core.jobs.turns`)."""
    return queue.run_next(_process)


def _process(job: ProcessingJob) -> Outcome:
    if not begin_attempt(job):
        return Outcome.OVERTAKEN
    with MEDIA_SECONDS.time():
        return _attempt(job)


@transaction.atomic
def begin_attempt(job: ProcessingJob) -> bool:
    """Give the picture a new key and schedule the deletion of the last attempt's files; return False if overtaken.

    Sets `job.media` to the row as it is now.
    """
    locked = Media.objects.select_related("owner").select_for_update(of=("self",), no_key=True)
    media = locked.filter(pk=job.pk).first()
    if media is None or not queue.owned([job]).exists():
        return False
    file_deletion.schedule_deletion(variants.possible_paths(media))
    media.key, media.is_public = storage.new_key(), relocation.should_be_public(media, media.owner)
    media.save(update_fields=["key", "is_public"])
    job.media = media
    return True


def _attempt(job: ProcessingJob) -> Outcome:
    if job.attempts >= MAX_FAILURES or job.created_at < timezone.now() - RETRY_DEADLINE:
        return mark_failed(job, GAVE_UP_MESSAGE, keep_original=True)
    try:
        with tempdirs.temporary_directory() as directory:
            picture = store_variants(job.media, directory)
    except BadPicture as error:
        return mark_failed(job, str(error))
    except (storage.StorageError, ProcessingError, OSError) as error:
        return retry_later(job, error)
    return mark_ready(job, picture)


def store_variants(media: Media, directory: Path) -> Picture:
    """Generate the variants of a picture in an empty directory and store them under its key.

    Raises BadPicture, ProcessingError, storage.StorageError, OSError.
    """
    original = directory / "original"
    with storage.open(media.original_path) as source, original.open("wb") as target:
        shutil.copyfileobj(source, target)
    generated = directory / "variants"
    generated.mkdir()
    picture = variants.generate(original, generated)
    target_directory = variants.directory_of(media)
    for name, format_ in {variant.filename: variant.format for variant in picture.variants}.items():
        with (generated / name).open("rb") as file:
            storage.save(f"{target_directory}/{name}", file, f"image/{format_}")
    return picture


@transaction.atomic
def mark_ready(job: ProcessingJob, picture: Picture) -> Outcome:
    """End a claimed job whose variants are stored: publish them and schedule the deletion of the original.

    If the picture was deleted or the lease was lost in the meantime, the attempt's files are deleted instead.
    """
    media = job.media
    owner = _lock_owner(media)
    # Read again: a moderator may have withheld it in the meantime.
    current = Media.objects.select_for_update(no_key=True).filter(pk=media.pk).first()
    if owner is None or current is None or not queue.delete([job]):
        return _abandon_files(media)
    kept = media.original_path if settings.MEDIA_KEEP_ORIGINALS else ""
    Media.objects.filter(pk=media.pk).update(status=Status.READY, original_path=kept, **variants.model_fields(picture))
    if not kept:
        file_deletion.schedule_deletion([media.original_path], repeat=True)
    if relocation.should_be_public(current, owner) != media.is_public:
        relocation.schedule_relocation(media.owner_id)
    return _finish(media, Result.READY)


@transaction.atomic
def mark_failed(job: ProcessingJob, reason: str, *, keep_original: bool = False) -> Outcome:
    """End a claimed job without success, with the reason that the owner sees, and schedule the deletion of its files.

    `keep_original`: the picture may not be at fault, and an operator can reprocess it (`media.reprocessing`).
    """
    media = job.media
    _lock_owner(media)
    current = Media.objects.select_for_update(no_key=True).filter(pk=media.pk).first()
    if current is None or not queue.delete([job]):
        return _abandon_files(media)
    file_deletion.schedule_deletion(variants.possible_paths(media))
    kept = media.original_path if keep_original else ""
    Media.objects.filter(pk=media.pk).update(status=Status.FAILED, error=reason[:200], original_path=kept, key="")
    if not kept:
        file_deletion.schedule_deletion([media.original_path], repeat=True)
    return _finish(media, Result.FAILED)


def retry_later(job: ProcessingJob, error: Exception) -> Outcome:
    """Give a claimed job back for a later attempt. An unavailable storage does not count as a failed attempt."""
    is_unavailable = isinstance(error, storage.StorageError | OSError) and not isinstance(error, storage.FileMissing)
    logger.warning("media %s, after %d failures: %r", job.pk, job.attempts, error)
    # Grows with the outage: a quarter of the time since the upload.
    waited = (timezone.now() - job.created_at) / 4
    delay = min(max(waited, RETRY_DELAY), queue.max_retry_delay) if is_unavailable else None
    with transaction.atomic():
        # A new turn: one old turn would let all new owners go before waiting ones.
        turn = next_turn(ProcessingJob, job.owner_id, without=job.pk)
        is_saved = queue.retry_later(job, error, counts=not is_unavailable, delay=delay, turn=turn)
    if not is_saved:
        return _abandon_files(job.media)
    MEDIA_RESULTS.labels(Result.RETRIED).inc()
    return Outcome.POSTPONED if is_unavailable else Outcome.FAILED


def _lock_owner(media: Media) -> User | None:
    return User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()


def _finish(media: Media, result: Result) -> Outcome:
    media_changed.send(Media, media_ids=[media.pk])
    transaction.on_commit(MEDIA_RESULTS.labels(result).inc)
    return Outcome.FINISHED


@transaction.atomic
def _abandon_files(media: Media) -> Outcome:
    """Schedule the deletion of an overtaken attempt's files, which no row names any more."""
    file_deletion.schedule_deletion(variants.possible_paths(media))
    return Outcome.OVERTAKEN
