"""Relocation of files between public and private: public ones have permanent URLs, others signed, expiring URLs.

When an account turns private or is suspended, or a moderator hides a post, the pictures' files are copied to a new,
secret key and the public files are deleted, so the old URLs stop working. The way back is the same. Until a worker has
moved the files, a moment later, the old URLs still work; a moderator's request waits for it (`media.unpublish`).
Avatars are moved with the pictures (`media.avatars`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import F, Q
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import access_changed, avatar_taken_down, privacy_changed
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import LeasedQueue, Outcome
from media import avatars, file_deletion, file_swap, storage, variants
from media.models import Media, Relocation, Status

logger = logging.getLogger(__name__)

RELOCATION_BATCH_SIZE = 20  # pictures moved before the task makes room for other tasks
MAX_FAILURES = 3  # pictures that fail before the storage is taken to be down
# The opposite of `should_be_public`, as a filter of `Media`.
SHOULD_BE_PRIVATE = Q(is_withheld=True) | Q(owner__is_active=False) | Q(owner__is_private=True)

queue = LeasedQueue(
    Relocation.objects.all(),
    task=CoalescedTask(queues.RELOCATE_MEDIA, mark_ttl=30),
    lease=timedelta(seconds=20),  # renewed for each picture; moving one twice is harmless
    retry_delay=timedelta(seconds=30),
    max_retry_delay=timedelta(seconds=30),  # short: until then private pictures may be public
    transient=(storage.StorageError,),
)


def should_be_public(media: Media, owner: User) -> bool:
    """Return whether the picture's files belong in public."""
    return owner.is_active and not owner.is_private and not media.is_withheld


@receiver([privacy_changed, access_changed])
def _on_access_changed(user_id: int, **_: Any) -> None:
    schedule_relocation(user_id)


def schedule_relocation(owner_id: int) -> None:
    """Move the owner's files to where they belong, after the current transaction commits.

    A worker that is moving the owner's files loses its claim, so it cannot delete the row of this cause.
    """
    Relocation.objects.bulk_create(
        [Relocation(owner_id=owner_id)],
        update_conflicts=True,
        unique_fields=["owner_id"],
        update_fields=["state", "lease", "due_at", "last_media_id"],
    )
    queue.request_task_on_commit()


def set_withheld(media_ids: Iterable[int], owner_id: int, *, withheld: bool) -> None:
    """Withhold pictures from the public, or release them. Withholding also removes the avatar that shows one of them.

    Call it inside a transaction that has locked the owner's row.
    """
    wanted = list(media_ids)
    if not Media.objects.filter(pk__in=wanted).update(is_withheld=withheld):
        return
    schedule_relocation(owner_id)
    if withheld:
        avatars.remove_copies_of(wanted, owner_id)


@receiver(avatar_taken_down)
def _on_avatar_taken_down(user_id: int, media_id: int, **_: Any) -> None:
    """Refuse the picture as an avatar for ever, and withhold it unless a post shows it.

    A post's picture stays: posts have reports and actions of their own. The owner's row is locked, which also keeps the
    picture from becoming part of a post.
    """
    picture = Media.objects.filter(pk=media_id, owner_id=user_id)
    picture.update(is_barred_as_avatar=True)
    set_withheld(picture.filter(is_attached=False).values_list("pk", flat=True), user_id, withheld=True)


def relocate_next() -> Outcome:
    """Move a batch of pictures of the owner who has waited longest. Return CONTINUED if more may be left."""
    return queue.run_next(_relocate)


def _relocate(job: Relocation) -> Outcome:
    """Move a batch of pictures. Those that cannot be moved are skipped until all others have been tried."""
    owner = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=job.owner_id).first()
    misplaced = _misplaced_media(owner, job.last_media_id) or _misplaced_media(owner, 0) if owner else []
    errors: list[storage.StorageError] = []
    if owner:
        try:
            avatars.move_avatar(owner)
        except storage.StorageError as error:
            errors.append(error)
    moved = 0
    for media in misplaced:
        if not queue.renew(job):
            return Outcome.OVERTAKEN
        job.last_media_id = media.pk
        try:
            move_media(media)
            moved += 1
        except storage.StorageError as error:
            errors.append(error)
            if len(errors) == MAX_FAILURES:
                break
    if moved:
        return _continue(job)
    if errors:
        queue.owned([job]).update(last_media_id=job.last_media_id)
        raise errors[0]
    return Outcome.FINISHED if queue.delete([job]) else Outcome.OVERTAKEN


def _continue(job: Relocation) -> Outcome:
    return Outcome.CONTINUED if queue.checkpoint(job, last_media_id=job.last_media_id) else Outcome.OVERTAKEN


def _misplaced_media(owner: User, after: int) -> list[Media]:
    """Return a batch of the owner's ready pictures with greater ids whose files are in the wrong place."""
    ready = Media.objects.using(DEFAULT_DB_ALIAS).filter(owner=owner, status=Status.READY, pk__gt=after)
    if not (owner.is_active and not owner.is_private):
        return list(ready.filter(is_public=True).order_by("pk")[:RELOCATION_BATCH_SIZE])
    misplaced = ready.filter(is_public=F("is_withheld"))
    return list(misplaced.order_by("pk")[:RELOCATION_BATCH_SIZE])


def move_media(media: Media) -> None:
    """Move a picture between public and private: copy its files to a new key, switch the row, delete the old files.

    Raises StorageError, which leaves everything as it was.
    """
    target = Media(key=storage.new_key(), is_public=not media.is_public)
    pending = file_deletion.register_pending_files(variants.possible_paths(target))
    source_directory, target_directory = variants.directory_of(media), variants.directory_of(target)
    for name in variants.file_names(media):
        try:
            storage.copy(f"{source_directory}/{name}", f"{target_directory}/{name}")
        except storage.FileMissing:
            # Moved by another worker, or lost. Continue: the owner's other pictures must be moved.
            logger.warning("media %s: %s is missing and was not moved", media.pk, name)

    def is_still_wanted(current: Media, owner: User) -> bool:
        """Return False if the owner has switched back in the meantime."""
        return should_be_public(current, owner) == target.is_public

    file_swap.swap_files(media, target, pending, is_wanted=is_still_wanted)
