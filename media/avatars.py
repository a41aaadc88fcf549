"""The picture of a user: a public copy of one of its own, so that it stays whatever becomes of the original."""

from __future__ import annotations

import re

from django.db import transaction

from media import removal, storage, variants
from media.models import Media, Status

SIZE = "320"
_OURS = re.compile(r"avatars/[\w-]+\.webp")


def copy_for(owner_id: int, media_id: int) -> str | None:
    """Copy a ready picture of the owner's; the copy's path, None if there is no such picture. StorageError."""
    media = Media.objects.using("default").filter(pk=media_id, owner_id=owner_id, status=Status.READY).first()
    if media is None:
        return None
    path = f"avatars/{storage.new_key()}.webp"
    source = f"{variants.directory(media.key, is_public=media.is_public)}/{media.variants[SIZE]['name']}"
    storage.copy(source, path)
    return path


def drop(path: str) -> None:
    """Have an avatar's file deleted that is used no more, or never was."""
    if _OURS.fullmatch(path):
        with transaction.atomic():
            removal.remove_later([path])
