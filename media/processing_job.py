"""Processing one picture: claim, make the variants, store them, finish. Everything here may run twice or die half way.

The claim is a lease in the row, and its number of attempts tells whether it still holds: whoever was overtaken
changes nothing any more, and each attempt writes under a key of its own.
"""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
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

LEASE_DURATION = timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + 5)  # by then Celery has killed whoever held it
MAX_FAILURES = 6  # that killed their worker, or failed for the machine's reasons
RETRY_DEADLINE = timedelta(days=1)  # for a storage that is away
MIN_RETRY_DELAY = timedelta(seconds=5)  # doubled with each attempt since it was uploaded, or begun anew
MAX_RETRY_DELAY = timedelta(minutes=5)
GAVE_UP_MESSAGE = "It could not be processed; please upload it again."


def run(media_id: int) -> None:
    """Process a picture that is due; nothing if it is not, or somebody else does."""
    media = _claim(media_id)
    if media is None:
        return
    with MEDIA_SECONDS.time():
        result = _attempt(media)
    MEDIA_RESULTS.labels(result).inc()


def _attempt(media: Media) -> str:
    """How it ended: a label of the metric."""
    if media.failures > MAX_FAILURES or (media.reprocessed_at or media.created_at) < timezone.now() - RETRY_DEADLINE:
        _mark_failed(media, GAVE_UP_MESSAGE, keep_original=True)
        return "failed"
    try:
        with tempdirs.temporary_directory() as directory:
            picture = store_variants(media, directory)
    except BadPicture as error:
        _mark_failed(media, str(error))
        return "failed"
    except (storage.StorageError, ProcessingError, OSError) as error:
        logger.warning("media %s, attempt %d: %s", media.pk, media.attempts, error)
        _retry_later(media, is_failure=isinstance(error, ProcessingError | storage.FileMissing))
        return "retried"
    _mark_ready(media, picture)
    return "ready"


def due_media_ids(limit: int) -> list[int]:
    """What waits for a worker, or lost one; the longest first."""
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
    file_deletion.schedule_deletion(variants.possible_paths(media))  # an attempt that died
    media.attempts += 1
    media.failures += 1  # until it turns out that the storage was away: who dies can't count
    media.due_at = timezone.now() + LEASE_DURATION
    media.key, media.is_public = storage.new_key(), relocation.should_be_public(media, media.owner)
    media.save(update_fields=["attempts", "failures", "due_at", "key", "is_public"])
    return media


def store_variants(media: Media, directory: Path) -> Picture:
    """Make the variants and store them under the picture's key, with an empty directory to work in.

    Raises BadPicture, ProcessingError, storage.StorageError, OSError.
    """
    original = directory / "original"
    with storage.open(media.original_path) as source, original.open("wb") as target:
        shutil.copyfileobj(source, target)
    made = directory / "variants"
    made.mkdir()
    picture = variants.generate(original, made)
    place = variants.directory_of(media)
    for name, format_ in {variant.filename: variant.format for variant in picture.variants}.items():
        with (made / name).open("rb") as file:
            storage.save(f"{place}/{name}", file, f"image/{format_}")
    return picture


@transaction.atomic
def _mark_ready(media: Media, picture: Picture) -> None:
    owner = User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    original = "" if not settings.MEDIA_KEEP_ORIGINALS else media.original_path
    # Read anew: a moderator may have withheld it meanwhile.
    ours = _still_claimed(media).select_for_update(no_key=True).first()
    if owner is None or ours is None:
        file_deletion.schedule_deletion(variants.possible_paths(media))
        return
    _still_claimed(media).update(
        status=Status.READY,
        original_path=original,
        due_at=None,
        **variants.model_fields(picture),
    )
    if not original:
        file_deletion.schedule_deletion([media.original_path], again=True)
    if relocation.should_be_public(ours, owner) != media.is_public:
        relocation.schedule_relocation(media.owner_id)
    media_changed.send(Media, media_ids=[media.pk])


@transaction.atomic
def _mark_failed(media: Media, reason: str, *, keep_original: bool = False) -> None:
    """A bad picture's original goes; where the machine gave up it stays, for another try (media.reprocessing)."""
    User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    file_deletion.schedule_deletion(variants.possible_paths(media))
    kept = media.original_path if keep_original else ""
    if _still_claimed(media).update(status=Status.FAILED, error=reason[:200], original_path=kept, key="", due_at=None):
        if not kept:
            file_deletion.schedule_deletion([media.original_path], again=True)
        media_changed.send(Media, media_ids=[media.pk])


@transaction.atomic
def _retry_later(media: Media, *, is_failure: bool) -> None:
    times = media.attempts - media.attempts_before_reprocessing
    pause = min(MIN_RETRY_DELAY * 2 ** min(times - 1, 10), MAX_RETRY_DELAY)
    failures = media.failures if is_failure else media.failures - 1
    if not _still_claimed(media).update(
        due_at=timezone.now() + pause, failures=failures
    ):  # what it has stored is nobody's
        file_deletion.schedule_deletion(variants.possible_paths(media))


def _still_claimed(media: Media) -> QuerySet[Media]:
    """The row, unless this attempt was overtaken."""
    return Media.objects.filter(pk=media.pk, status=Status.PROCESSING, attempts=media.attempts)
