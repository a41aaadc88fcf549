"""Processing of one picture: claim it, generate and store its variants, mark it ready. Safe to run twice or to die in.

The claim is a lease in the row. A worker whose row shows another number of attempts has lost its lease and changes
nothing. Each attempt writes its files under a new key.
"""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from instafeed.core.observability.metrics import MEDIA_RESULTS, MEDIA_SECONDS
from media import file_deletion, relocation, storage, tempdirs, variants
from media.models import Media, Status
from media.processing import BadPicture, Picture, ProcessingError
from media.signals import media_changed

logger = logging.getLogger(__name__)

# By then Celery has killed the worker that held the lease.
LEASE_DURATION = timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + 5)
MAX_FAILURES = 6  # attempts that killed their worker, or failed for reasons other than the picture
RETRY_DEADLINE = timedelta(days=1)  # how long to wait for an unavailable storage
MIN_RETRY_DELAY = timedelta(seconds=5)  # doubled with each attempt since the upload or the last reprocessing
MAX_RETRY_DELAY = timedelta(minutes=5)
GAVE_UP_MESSAGE = "It could not be processed; please upload it again."


class Outcome(StrEnum):
    """How an attempt ended: a label of the metric."""

    READY = "ready"
    FAILED = "failed"
    RETRIED = "retried"


def run(media_id: int) -> None:
    """Process a picture if it is due and not claimed by another worker."""
    media = _claim(media_id)
    if media is None:
        return
    with MEDIA_SECONDS.time():
        outcome = _attempt(media)
    MEDIA_RESULTS.labels(outcome).inc()


def _attempt(media: Media) -> Outcome:
    if media.failures > MAX_FAILURES or (media.reprocessed_at or media.created_at) < timezone.now() - RETRY_DEADLINE:
        _mark_failed(media, GAVE_UP_MESSAGE, keep_original=True)
        return Outcome.FAILED
    try:
        with tempdirs.temporary_directory() as directory:
            picture = store_variants(media, directory)
    except BadPicture as error:
        _mark_failed(media, str(error))
        return Outcome.FAILED
    except (storage.StorageError, ProcessingError, OSError) as error:
        logger.warning("media %s, attempt %d: %s", media.pk, media.attempts, error)
        _retry_later(media, is_failure=isinstance(error, ProcessingError | storage.FileMissing))
        return Outcome.RETRIED
    _mark_ready(media, picture)
    return Outcome.READY


def due_media_ids(limit: int) -> list[int]:
    """Return ids of pictures that wait for a worker or whose lease has expired, the longest due first."""
    waiting = Media.objects.filter(status=Status.PROCESSING, due_at__lte=timezone.now())
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:limit])


@transaction.atomic
def _claim(media_id: int) -> Media | None:
    media = (
        Media.objects.select_related("owner")
        .select_for_update(of=("self",), skip_locked=True, no_key=True)
        .filter(pk=media_id, status=Status.PROCESSING, due_at__lte=timezone.now())
        .first()
    )
    if media is None:
        return None
    file_deletion.schedule_deletion(variants.possible_paths(media))  # left by an attempt that died
    media.attempts += 1
    media.failures += 1  # counted in advance, as a killed worker cannot; undone if the storage is unavailable
    media.due_at = timezone.now() + LEASE_DURATION
    media.key, media.is_public = storage.new_key(), relocation.should_be_public(media, media.owner)
    media.save(update_fields=["attempts", "failures", "due_at", "key", "is_public"])
    return media


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
def _mark_ready(media: Media, picture: Picture) -> None:
    owner = User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    original = "" if not settings.MEDIA_KEEP_ORIGINALS else media.original_path
    # Read again: a moderator may have withheld it in the meantime.
    current = _still_claimed(media).select_for_update(no_key=True).first()
    if owner is None or current is None:
        file_deletion.schedule_deletion(variants.possible_paths(media))
        return
    _still_claimed(media).update(
        status=Status.READY,
        original_path=original,
        due_at=None,
        **variants.model_fields(picture),
    )
    if not original:
        file_deletion.schedule_deletion([media.original_path], repeat=True)
    if relocation.should_be_public(current, owner) != media.is_public:
        relocation.schedule_relocation(media.owner_id)
    media_changed.send(Media, media_ids=[media.pk])


@transaction.atomic
def _mark_failed(media: Media, reason: str, *, keep_original: bool = False) -> None:
    """`keep_original`: the picture may not be at fault, and an operator can reprocess it (`media.reprocessing`)."""
    User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    file_deletion.schedule_deletion(variants.possible_paths(media))
    kept = media.original_path if keep_original else ""
    if _still_claimed(media).update(status=Status.FAILED, error=reason[:200], original_path=kept, key="", due_at=None):
        if not kept:
            file_deletion.schedule_deletion([media.original_path], repeat=True)
        media_changed.send(Media, media_ids=[media.pk])


@transaction.atomic
def _retry_later(media: Media, *, is_failure: bool) -> None:
    attempts = media.attempts - media.attempts_before_reprocessing
    delay = min(MIN_RETRY_DELAY * 2 ** min(attempts - 1, 10), MAX_RETRY_DELAY)
    failures = media.failures if is_failure else media.failures - 1
    if not _still_claimed(media).update(due_at=timezone.now() + delay, failures=failures):
        # Another attempt owns the row now: no row names the files that this one has stored.
        file_deletion.schedule_deletion(variants.possible_paths(media))


def _still_claimed(media: Media) -> QuerySet[Media]:
    """Return the row, or no row if this attempt has lost its lease."""
    return Media.objects.filter(pk=media.pk, status=Status.PROCESSING, attempts=media.attempts)
