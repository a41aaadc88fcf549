"""Queries for media."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS
from django.shortcuts import get_object_or_404

from media.models import Media


def get_own_media(owner_id: int, media_id: int) -> Media:
    """Return the owner's picture, read from the primary. Raises Http404."""
    return get_object_or_404(Media.objects.using(DEFAULT_DB_ALIAS), pk=media_id, owner_id=owner_id)
