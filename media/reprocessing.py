"""Reprocessing of pictures by an operator: failed or ready ones whose original is still stored.

A failed picture is processed as after its upload (`media.processing_job`), and a post that waits for it is published
once it is ready. A ready picture keeps its variants until the new ones are stored, and if they cannot be generated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import User
from instafeed.core.jobs import enqueue, queues
from media import file_deletion, file_swap, processing_job, storage, tempdirs, variants
from media.models import Media, Status
from media.processing import BadPicture, ProcessingError
from media.signals import media_changed

logger = logging.getLogger(__name__)


class NotReprocessable(Exception):
    """The picture cannot be reprocessed; the message tells the operator why."""


def reprocess(media_ids: Sequence[int], operator: User) -> tuple[int, dict[int, str]]:
    """Start the reprocessing of pictures. Return how many were started, and by id why the others were refused."""
    started, refused = 0, dict[int, str]()
    for media_id in media_ids:
        try:
            reprocess_one(media_id, operator)
            started += 1
        except NotReprocessable as reason:
            refused[media_id] = str(reason)
        except storage.StorageError:
            # Stop here: each further picture would wait for the same timeout.
            return started, refused | dict.fromkeys(media_ids[len(refused) + started :], "the storage is unavailable")
    return started, refused


def failed_pictures() -> QuerySet[Media]:
    """Return the failed pictures whose original is kept: processing failed because of the machine."""
    return Media.objects.using(DEFAULT_DB_ALIAS).filter(status=Status.FAILED).exclude(original_path="")


def reprocess_one(media_id: int, operator: User) -> None:
    """Start the reprocessing of a picture. Raises NotReprocessable, storage.StorageError."""
    media = Media.objects.using(DEFAULT_DB_ALIAS).filter(pk=media_id).first()
    if media is None:
        raise NotReprocessable("it was deleted")
    if media.status in (Status.UPLOADING, Status.PROCESSING):
        raise NotReprocessable("it was never uploaded" if media.status == Status.UPLOADING else "it is being processed")
    if not media.original_path:
        failed = media.status == Status.FAILED
        raise NotReprocessable("the picture is invalid" if failed else "its original was not kept")
    if storage.size(media.original_path) is None:
        raise NotReprocessable("its original is not in the storage")
    _record_request(media, operator)


@transaction.atomic
def _record_request(media: Media, operator: User) -> None:
    User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    now = timezone.now()
    unchanged = Media.objects.filter(pk=media.pk, status=media.status, original_path=media.original_path)
    status = Status.PROCESSING if media.status == Status.FAILED else Status.READY
    if not unchanged.update(status=status, error="", reprocessed_at=now):
        raise NotReprocessable("it changed in the meantime")
    if status == Status.PROCESSING:
        processing_job.enqueue(media.pk, media.owner_id)
        media_changed.send(Media, media_ids=[media.pk])
    before = {"status": Status(media.status).label}
    audit.record(operator, "reprocess", "media", media.pk, user_id=media.owner_id, before=before)
    # Enqueued before the commit, as no sweep would enqueue it later. The task reads nothing that is written here.
    if media.status == Status.READY and not enqueue.try_enqueue(queues.REMAKE_MEDIA, media.pk):
        raise NotReprocessable("the broker is unavailable")


def regenerate(media_id: int) -> None:
    """Generate a ready picture's variants again and replace the old ones. A failure changes nothing."""
    ready = Media.objects.using(DEFAULT_DB_ALIAS).filter(pk=media_id, status=Status.READY)
    media = ready.exclude(original_path="").first()
    if media is None:
        return
    target = copy(media)
    target.key = storage.new_key()
    pending = file_deletion.register_pending_files(variants.possible_paths(target))
    try:
        with tempdirs.temporary_directory() as directory:
            picture = processing_job.store_variants(target, directory)
    except (BadPicture, ProcessingError, storage.StorageError, OSError) as error:
        logger.warning("media %s was not reprocessed: %s", media_id, error)
    else:
        file_swap.swap_files(media, target, pending, **variants.model_fields(picture))
