"""Public and private files: pictures of public accounts have permanent URLs, all others signed ones that expire.

When an account turns private, is suspended, or a moderator hides a post, its pictures' files are copied to a new,
secret key, and the public ones go: from then on the old URLs are dead. Back again likewise. Until the mover was
there, a moment later, the old URLs still work for those who know them; moderators wait for it (`media.withdrawal`).
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
from instafeed import dispatch
from media import removal, replacing, storage, tasks, variants
from media.models import Media, Relocation, Status

logger = logging.getLogger(__name__)

AT_ONCE = 20  # pictures moved before the task makes room for others
PAUSE = timedelta(seconds=30)  # after a failure of the storage
# Raw: the ORM's upsert can't add to what is there.
_RELOCATE = """
INSERT INTO media_relocation AS relocation (owner_id, due_at, version) VALUES (%s, clock_timestamp(), 1)
ON CONFLICT (owner_id) DO UPDATE SET due_at = EXCLUDED.due_at, version = relocation.version + 1
"""
# The opposite of `belongs_in_public`, of rows.
BELONGS_IN_PRIVATE = Q(is_withheld=True) | Q(owner__is_active=False) | Q(owner__is_private=True)


def belongs_in_public(media: Media, owner: User) -> bool:
    return owner.is_active and not owner.is_private and not media.is_withheld


@receiver([privacy_changed, access_changed])
def _owner_changed(user_id: int, **_: Any) -> None:
    relocate_later(user_id)


def relocate_later(owner_id: int) -> None:
    """Have the owner's files brought to where they belong, once the current transaction commits."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_RELOCATE, [owner_id])
    transaction.on_commit(partial(dispatch.nudge, tasks.relocate_media, owner_id), robust=True)


def withhold(media_ids: Iterable[int], owner_id: int, *, withheld: bool) -> None:
    """Take pictures out of public sight, or bring them back. Inside the caller's transaction."""
    if Media.objects.filter(pk__in=list(media_ids)).update(is_withheld=withheld):
        relocate_later(owner_id)


def due(limit: int) -> list[int]:
    """Owners whose files wait to be moved."""
    waiting = Relocation.objects.filter(due_at__lte=timezone.now())
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:limit])


def relocate_slice(owner_id: int) -> bool:
    """Move some of the owner's pictures; True when more are left."""
    relocation = Relocation.objects.using(DEFAULT_DB_ALIAS).filter(pk=owner_id).first()
    owner = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=owner_id).first()
    if relocation is None:
        return False
    misplaced = _misplaced(owner) if owner else []
    try:
        for media in misplaced:
            move(media)
    except storage.StorageError:
        Relocation.objects.filter(pk=owner_id).update(due_at=timezone.now() + PAUSE)
        return False
    if misplaced:
        return True
    Relocation.objects.filter(pk=owner_id, version=relocation.version).delete()  # unless there is a new reason
    return False


def _misplaced(owner: User) -> list[Media]:
    """Some of the ready pictures of an owner that lie in the wrong place."""
    ready = Media.objects.using(DEFAULT_DB_ALIAS).filter(owner=owner, status=Status.READY)
    if not (owner.is_active and not owner.is_private):
        return list(ready.filter(is_public=True).order_by("pk")[:AT_ONCE])
    lying = ready.filter(is_public=F("is_withheld"))
    return list(lying.order_by("pk")[:AT_ONCE])


def move(media: Media) -> None:
    """Bring a picture to the other side: copy to a new key, then let the row name it and the old files go.

    StorageError leaves all as it was.
    """
    target = Media(key=storage.new_key(), is_public=not media.is_public)
    announced = removal.announce(variants.paths_of(target))
    source_place, target_place = variants.place_of(media), variants.place_of(target)
    for name in variants.names_of(media):
        try:
            storage.copy(f"{source_place}/{name}", f"{target_place}/{name}")
        except storage.FileMissing:
            # Moved by somebody else, or lost: which must not keep the owner's other pictures where they are.
            logger.warning("media %s has no %s to be moved", media.pk, name)

    def still_wanted(here: Media, owner: User) -> bool:
        """The owner may have changed sides once more."""
        return belongs_in_public(here, owner) == target.is_public

    replacing.replace(media, target, announced, wanted=still_wanted)
