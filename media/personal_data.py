"""What media hold about a user: rows and the files they name (see `accounts.personal_data`)."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.files.storage import default_storage
from django.db import DEFAULT_DB_ALIAS

from accounts.personal_data import Holding, Row, chunks, register
from instafeed.api.links import file_url
from media.models import Media

AT_ONCE = 20  # media; each file may be a request to an object storage


def export_media(user_id: int) -> Iterator[Row]:
    media = Media.objects.filter(owner=user_id).values("id", "path", "width", "height", "alt_text", "created_at")
    for chunk in chunks(media, "id"):
        for row in chunk:
            yield {**row, "id": str(row["id"]), "url": file_url(row["path"])}


def erase_media(user_id: int) -> bool:
    """Raises IntegrityError for what has just become part of a post: that goes first, at the next attempt."""
    media = list(Media.objects.using(DEFAULT_DB_ALIAS).filter(owner=user_id).order_by("pk")[:AT_ONCE])
    for picture in media:
        # The file first: a process that dies in between leaves the row, by which it is found again.
        default_storage.delete(picture.path)
    Media.objects.filter(pk__in=[picture.pk for picture in media]).delete()
    return len(media) < AT_ONCE


def declare() -> None:
    register(Holding("media", ["media.Media.owner"], export_media, erase_media))
