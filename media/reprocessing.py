"""Processing pictures once more by an operator's word: failed ones whose original is kept, and ready ones whose is.

A failed picture goes the usual way again (media.processing_job), and the post that waited for it appears once it is ready. A
ready one stays as it is until its new variants are stored, and if they can't be made.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import copy

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import F
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
    """str() says why, for the operator."""


def reprocess(media_ids: Sequence[int], operator: User) -> tuple[int, dict[int, str]]:
    """Have these processed once more; how many will be, and why the others can't."""
    started, refused = 0, dict[int, str]()
    for media_id in media_ids:
        try:
            _reprocess_one(media_id, operator)
            started += 1
        except NotReprocessable as why:
            refused[media_id] = str(why)
        except storage.StorageError:
            # Nobody waits for a storage that is away fifty times.
            return started, refused | dict.fromkeys(media_ids[len(refused) + started :], "the storage does not answer")
    return started, refused


def _reprocess_one(media_id: int, operator: User) -> None:
    """Raises Impossible, storage.StorageError."""
    media = Media.objects.using(DEFAULT_DB_ALIAS).filter(pk=media_id).first()
    if media is None:
        raise NotReprocessable("it is gone")
    if media.status in (Status.UPLOADING, Status.PROCESSING):
        raise NotReprocessable("it was never uploaded" if media.status == Status.UPLOADING else "it is being processed")
    if not media.original_path:
        failed = media.status == Status.FAILED
        raise NotReprocessable("the picture itself was bad" if failed else "its original was not kept")
    if storage.size(media.original_path) is None:
        raise NotReprocessable("its original is not in the storage")
    _record_request(media, operator)
    if media.status == Status.FAILED:  # if the nudge is lost, the sweeper knows of it
        enqueue.try_enqueue(queues.PROCESS_MEDIA, media_id)


@transaction.atomic
def _record_request(media: Media, operator: User) -> None:
    User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    now = timezone.now()
    same = Media.objects.filter(
        pk=media.pk, status=media.status, attempts=media.attempts, original_path=media.original_path
    )
    if media.status == Status.FAILED:
        # Not `attempts`: by it those who were overtaken know that they were.
        changed = same.update(
            status=Status.PROCESSING,
            error="",
            failures=0,
            attempts_before_reprocessing=F("attempts"),
            due_at=now,
            reprocessed_at=now,
        )
        media_changed.send(Media, media_ids=[media.pk])
    else:
        changed = same.update(reprocessed_at=now)
    if not changed:
        raise NotReprocessable("somebody else was faster")
    before = {"status": Status(media.status).label}
    audit.record(operator, "reprocess", "media", media.pk, user_id=media.owner_id, before=before)
    # Before the commit, as nobody else would send it; the task reads nothing that is written here.
    if media.status == Status.READY and not enqueue.try_enqueue(queues.REMAKE_MEDIA, media.pk):
        raise NotReprocessable("the broker does not answer; it stays as it is")


def regenerate(media_id: int) -> None:
    """Make a ready picture's variants anew, under a new key, and have them take the old ones' place.

    A failure changes nothing.
    """
    media = (
        Media.objects.using(DEFAULT_DB_ALIAS).filter(pk=media_id, status=Status.READY).exclude(original_path="").first()
    )
    if media is None:
        return
    target = copy(media)
    target.key = storage.new_key()
    announced = file_deletion.register_pending_files(variants.possible_paths(target))
    try:
        with tempdirs.temporary_directory() as directory:
            picture = processing_job.store_variants(target, directory)
    except (BadPicture, ProcessingError, storage.StorageError, OSError) as error:
        logger.warning("media %s stays as it was: %s", media_id, error)
    else:
        file_swap.swap_files(media, target, announced, **variants.model_fields(picture))
