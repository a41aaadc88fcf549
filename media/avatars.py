"""Avatars: public copies of pictures, independent of their originals.

Implements `accounts.avatar_storage.AvatarStorage`.
"""

from __future__ import annotations

import re

from django.db import transaction
from django.db.models.functions import Now

from instafeed.core.exceptions import DependencyUnavailable
from media import file_deletion, storage, variants
from media.models import FileDeletion, Media, Status
from media.storage.paths import KEY

AVATAR_SIZE = "320"
_AVATAR_PATH = re.compile(rf"avatars/{KEY}\.webp")


def create_copy(owner_id: int, media_id: int) -> str | None:
    """Copy a ready picture of the owner and return the copy's path, or None if there is no such picture.

    Raises DependencyUnavailable.
    """
    for _ in range(2):  # a second attempt, as the picture may just have been moved
        own = Media.objects.using("default").filter(pk=media_id, owner_id=owner_id, is_withheld=False)
        media = own.filter(status=Status.READY).first()
        if media is None:
            return None
        path = f"avatars/{storage.new_key()}.webp"
        file_deletion.register_pending_files([path])
        try:
            storage.copy(f"{variants.directory_of(media)}/{media.variants[AVATAR_SIZE]['name']}", path)
        except storage.FileMissing:
            continue
        return path
    raise DependencyUnavailable("the picture is being moved")


def confirm(path: str) -> None:
    """Keep a copy from the current transaction on. Raises DependencyUnavailable if its deletion is already due."""
    pending = FileDeletion.objects.filter(file_deletion.NEVER_CLAIMED, due_at__gt=Now(), paths=[path])
    if not pending.delete()[0]:
        raise DependencyUnavailable("the copy has expired")


def schedule_deletion(path: str) -> None:
    """Delete an avatar's file in the background. Ignores paths that `create_copy` does not make."""
    if _AVATAR_PATH.fullmatch(path):
        with transaction.atomic():
            file_deletion.schedule_deletion([path])
