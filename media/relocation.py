"""Public and private files: pictures of public accounts have permanent URLs, all others signed ones that expire.

When an account turns private, is suspended, or a moderator hides a post, its pictures' files are copied to a new,
secret key, and the public ones go: from then on the old URLs are dead. Back again likewise. Until the mover was
there, a moment later, the old URLs still work for those who know them; moderators wait for it (`media.unpublish`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F, Q
from django.dispatch import receiver
from django.utils import timezone

from accounts.models import User
from accounts.signals import access_changed, privacy_changed
from instafeed.core.jobs import enqueue, queues
from media import file_deletion, file_swap, storage, variants
from media.models import Media, Relocation, Status

logger = logging.getLogger(__name__)

RELOCATION_BATCH_SIZE = 20  # pictures moved before the task makes room for others
RETRY_DELAY = timedelta(seconds=30)  # after a failure of the storage
# Raw: the ORM's upsert can't add to what is there.
_UPSERT_SQL = """
INSERT INTO media_relocation AS relocation (owner_id, due_at, version) VALUES (%s, clock_timestamp(), 1)
ON CONFLICT (owner_id) DO UPDATE SET due_at = EXCLUDED.due_at, version = relocation.version + 1
"""
# The opposite of `should_be_public`, of rows.
SHOULD_BE_PRIVATE = Q(is_withheld=True) | Q(owner__is_active=False) | Q(owner__is_private=True)


def should_be_public(media: Media, owner: User) -> bool:
    return owner.is_active and not owner.is_private and not media.is_withheld


@receiver([privacy_changed, access_changed])
def _on_access_changed(user_id: int, **_: Any) -> None:
    schedule_relocation(user_id)


def schedule_relocation(owner_id: int) -> None:
    """Have the owner's files brought to where they belong, once the current transaction commits."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_UPSERT_SQL, [owner_id])
    transaction.on_commit(partial(enqueue.try_enqueue, queues.RELOCATE_MEDIA, owner_id), robust=True)


def set_withheld(media_ids: Iterable[int], owner_id: int, *, withheld: bool) -> None:
    """Take pictures out of public sight, or bring them back. Inside the caller's transaction."""
    if Media.objects.filter(pk__in=list(media_ids)).update(is_withheld=withheld):
        schedule_relocation(owner_id)


def due_owner_ids(limit: int) -> list[int]:
    """Owners whose files wait to be moved."""
    waiting = Relocation.objects.filter(due_at__lte=timezone.now())
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:limit])


def relocate_batch(owner_id: int) -> bool:
    """Move some of the owner's pictures; True when more are left."""
    relocation = Relocation.objects.using(DEFAULT_DB_ALIAS).filter(pk=owner_id).first()
    owner = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=owner_id).first()
    if relocation is None:
        return False
    misplaced = _misplaced_media(owner) if owner else []
    try:
        for media in misplaced:
            move_media(media)
    except storage.StorageError:
        Relocation.objects.filter(pk=owner_id).update(due_at=timezone.now() + RETRY_DELAY)
        return False
    if misplaced:
        return True
    Relocation.objects.filter(pk=owner_id, version=relocation.version).delete()  # unless there is a new reason
    return False


def _misplaced_media(owner: User) -> list[Media]:
    """Some of the ready pictures of an owner that lie in the wrong place."""
    ready = Media.objects.using(DEFAULT_DB_ALIAS).filter(owner=owner, status=Status.READY)
    if not (owner.is_active and not owner.is_private):
        return list(ready.filter(is_public=True).order_by("pk")[:RELOCATION_BATCH_SIZE])
    lying = ready.filter(is_public=F("is_withheld"))
    return list(lying.order_by("pk")[:RELOCATION_BATCH_SIZE])


def move_media(media: Media) -> None:
    """Bring a picture to the other side: copy to a new key, then let the row name it and the old files go.

    StorageError leaves all as it was.
    """
    target = Media(key=storage.new_key(), is_public=not media.is_public)
    announced = file_deletion.register_pending_files(variants.possible_paths(target))
    source_place, target_place = variants.directory_of(media), variants.directory_of(target)
    for name in variants.file_names(media):
        try:
            storage.copy(f"{source_place}/{name}", f"{target_place}/{name}")
        except storage.FileMissing:
            # Moved by somebody else, or lost: which must not keep the owner's other pictures where they are.
            logger.warning("media %s has no %s to be moved", media.pk, name)

    def still_wanted(here: Media, owner: User) -> bool:
        """The owner may have changed sides once more."""
        return should_be_public(here, owner) == target.is_public

    file_swap.swap_files(media, target, announced, wanted=still_wanted)
