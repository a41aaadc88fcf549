"""Finding media."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS

from media.models import Media


def own_picture(owner_id: int, media_id: int) -> str | None:
    """The path of a picture of the owner's; None if there is none of that id."""
    media = Media.objects.using(DEFAULT_DB_ALIAS).filter(pk=media_id, owner_id=owner_id)
    return media.values_list("path", flat=True).first()
