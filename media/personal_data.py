"""Export and erasure of a user's media: rows and the files that they name (`accounts.personal_data_registry`)."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, transaction

from accounts.models import User
from accounts.personal_data_registry import PersonalDataCategory, Row, iterate_chunks, register
from media import file_deletion, storage, variants
from media.export_rows import ExportedPictureSerializer
from media.models import Media, Relocation

ERASE_BATCH_SIZE = 100  # pictures


def export_media(user_id: int) -> Iterator[Row]:
    """Yield a row for each of the user's pictures."""
    for chunk in iterate_chunks(Media.objects.filter(owner=user_id).values("id"), "id"):
        for media in Media.objects.filter(pk__in=[row["id"] for row in chunk]).order_by("pk"):
            data = variants.serialize(media, storage.url)
            more = {"content_type": media.content_type, "size": media.size, "error": media.error or None}
            yield {**data, **more, "status": media.get_status_display(), "created_at": media.created_at}


def erase_media(user_id: int) -> bool:
    """Delete a batch of the user's pictures; return whether none is left.

    Raises IntegrityError for a picture that has just become part of a post. The next attempt erases the post first.
    """
    with transaction.atomic():
        User.objects.using(DEFAULT_DB_ALIAS).select_for_update(no_key=True).filter(pk=user_id).first()
        media = list(Media.objects.select_for_update().filter(owner=user_id).order_by("pk")[:ERASE_BATCH_SIZE])
        file_deletion.delete_media(media)
        Relocation.objects.filter(pk=user_id).delete()
    return len(media) < ERASE_BATCH_SIZE


def register_categories() -> None:
    register(
        PersonalDataCategory(
            "media",
            ["media.Media.owner", "media.Relocation.owner_id"],
            export_media,
            erase_media,
            ExportedPictureSerializer,
        )
    )
