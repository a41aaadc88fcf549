"""Uploads of pictures: in one request through the API, or directly to the storage between `begin` and `complete`."""

from __future__ import annotations

from typing import IO

from django.db import transaction
from django.shortcuts import get_object_or_404

from media import file_deletion, processing_job, storage
from media.models import Media, Status
from media.processing import SNIFFED_BYTES, Format, sniff
from media.storage import Upload

# Some clients send the container's type for HEIC, or the usual extension for JPEG.
CONTENT_TYPES = (*(f"image/{format}" for format in Format), "image/heif", "image/jpg")
_REGISTERED_TYPES = {"image/jpg": "image/jpeg"}


class InvalidImage(ValueError):
    """The file is empty or its format is not accepted."""


class NotUploaded(Exception):
    """Nothing has been uploaded yet."""


def receive(owner_id: int, file: IO[bytes], size: int, alt_text: str) -> Media:
    """Store a file that was sent to the API and enqueue its processing. Raises InvalidImage, storage.StorageError.

    The row is created before the file, so a process that dies in between leaves no unknown file.
    """
    format_ = _detect_format(file.read(SNIFFED_BYTES))
    media = Media.objects.create(
        owner_id=owner_id,
        original_path=storage.new_incoming_path(),
        content_type=f"image/{format_}",
        size=size,
        alt_text=alt_text,
    )
    storage.save(media.original_path, file, media.content_type)
    return _start_processing(owner_id, media.pk)


def begin(owner_id: int, content_type: str, size: int, alt_text: str) -> tuple[Media, Upload]:
    """Prepare a direct upload of exactly `size` bytes of the given type. Return the new row and the form to send."""
    content_type = _REGISTERED_TYPES.get(content_type, content_type)
    media = Media.objects.create(
        owner_id=owner_id,
        original_path=storage.new_incoming_path(),
        content_type=content_type,
        size=size,
        alt_text=alt_text,
    )
    return media, storage.direct_upload(media.original_path, content_type, size)


def complete(owner_id: int, media_id: int) -> Media:
    """Check a finished direct upload and enqueue its processing. Calling it again changes nothing.

    Raises Http404, NotUploaded, storage.StorageError, and InvalidImage after marking the picture as failed.
    """
    media = get_object_or_404(Media, pk=media_id, owner_id=owner_id)
    if media.status != Status.UPLOADING:
        return media
    size = storage.size(media.original_path)
    if size is None:
        raise NotUploaded
    try:
        if size != media.size:
            raise InvalidImage(f"The file has {size} bytes instead of the declared {media.size}.")
        _detect_format(storage.read_start(media.original_path, SNIFFED_BYTES))
    except InvalidImage as error:
        _mark_failed(media, str(error))
        raise
    return _start_processing(owner_id, media_id)


@transaction.atomic
def _mark_failed(media: Media, reason: str) -> None:
    uploading = Media.objects.filter(pk=media.pk, status=Status.UPLOADING)
    if uploading.update(status=Status.FAILED, error=reason[:200], original_path=""):
        file_deletion.schedule_deletion([media.original_path], repeat=True)


def _detect_format(head: bytes) -> Format:
    format_ = sniff(head)
    if format_ is None:
        raise InvalidImage(
            "The file is empty." if not head else "The file is not a picture of a kind that is accepted."
        )
    return format_


@transaction.atomic
def _start_processing(owner_id: int, media_id: int) -> Media:
    uploading = Media.objects.filter(pk=media_id, status=Status.UPLOADING)
    if uploading.update(status=Status.PROCESSING):
        processing_job.enqueue(media_id, owner_id)
    return get_object_or_404(Media, pk=media_id)  # missing if the account was erased in the meantime
