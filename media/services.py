"""Services for owners and posts: edit or delete a picture, attach pictures to a post, delete those of purged posts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import transaction
from django.shortcuts import get_object_or_404

from media import file_deletion
from media.models import Media, Status
from media.signals import alt_text_changed


class MediaInUse(Exception):
    """The picture is part of a post."""


class UnknownMedia(LookupError):
    """Some media do not exist or belong to another user."""


class UnusableMedia(ValueError):
    """Some media are part of another post, have failed, were never uploaded, or were removed by a moderator."""


@transaction.atomic
def set_alt_text(owner_id: int, media_id: int, alt_text: str) -> Media:
    """Set the alt text of an owner's picture, in a post or not, and return the picture. Raises Http404."""
    media = get_object_or_404(Media.objects.select_for_update(no_key=True), pk=media_id, owner_id=owner_id)
    if media.alt_text != alt_text:
        media.alt_text = alt_text
        media.save(update_fields=["alt_text"])
        alt_text_changed.send(Media, media_ids=[media_id])
    return media


@transaction.atomic
def delete(owner_id: int, media_id: int) -> None:
    """Delete an owner's picture and its files. Raises Http404, MediaInUse."""
    media = get_object_or_404(Media.objects.select_for_update(), pk=media_id, owner_id=owner_id)
    if media.is_attached:
        raise MediaInUse
    file_deletion.delete_media([media])


def attach(owner_id: int, media_ids: Sequence[int]) -> list[Media]:
    """Reserve pictures for a post and return them in the given order. Call it inside a transaction.

    `media_ids` must be distinct. Raises UnknownMedia, UnusableMedia.
    """
    if not media_ids:
        return []
    own = Media.objects.filter(owner_id=owner_id, pk__in=media_ids).select_for_update(no_key=True).order_by("pk")
    found = {media.pk: media for media in own}
    if any(media_id not in found for media_id in media_ids):
        raise UnknownMedia("Some media do not exist or are not yours.")
    if any(media.is_attached for media in found.values()):
        raise UnusableMedia("Some media are part of another post.")
    if any(media.status in (Status.FAILED, Status.UPLOADING) for media in found.values()):
        raise UnusableMedia("Some media have failed or were never uploaded.")
    if any(media.is_withheld for media in found.values()):
        raise UnusableMedia("Some media were removed by a moderator.")
    Media.objects.filter(pk__in=media_ids).update(is_attached=True)
    return [found[media_id] for media_id in media_ids]


def delete_for_posts(media_ids: Collection[int]) -> None:
    """Delete the pictures of purged posts. Call it inside the transaction that removes them from the posts."""
    locked = Media.objects.filter(pk__in=media_ids).select_for_update().order_by("pk")
    file_deletion.delete_media(list(locked))
