"""Pictures for tests: image files to upload, and rows of processed pictures with files of a few bytes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.db import transaction
from PIL import Image, ImageDraw

from accounts.models import User
from media import processing_job, storage, variants
from media.models import Media, Status
from media.processing import SIZES

VARIANTS = {str(size): {"name": f"{size}.webp", "width": size, "height": size} for size in SIZES}


def jpeg(width: int = 60, height: int = 40, **parameters: Any) -> bytes:
    """Return a small JPEG in two colours."""
    image = Image.new("RGB", (width, height), "teal")
    ImageDraw.Draw(image).rectangle((0, 0, width // 2, height // 2), fill="orange")
    file = BytesIO()
    image.save(file, "JPEG", **parameters)
    return file.getvalue()


def ready_media(owner: User, *, is_public: bool = True, **fields: Any) -> Media:
    """Create a processed picture. Each of its files contains its own name."""
    key = storage.new_key()
    for size in SIZES:
        path = f"{storage.variants_directory(key, is_public=is_public)}/{size}.webp"
        storage.save(path, BytesIO(f"{size}.webp".encode()), "image/webp")
    fields = {
        "key": key,
        "is_public": is_public,
        "status": Status.READY,
        "variants": VARIANTS,
        "width": 3,
        "height": 2,
    } | fields
    return Media.objects.create(owner=owner, **fields)


def expected_paths(media: Media) -> list[str]:
    """Return the paths of a picture's files according to its row."""
    directory = variants.directory_of(media)
    return [f"{directory}/{name}" for name in variants.file_names(media)]


def enqueue_pictures(owner: User, times: int = 1) -> list[int]:
    """Enqueue pictures of an owner, each in its own transaction as uploads are. Return their ids."""
    pks = []
    for _ in range(times):
        media = Media.objects.create(owner=owner, status=Status.PROCESSING, original_path="incoming/x")
        with transaction.atomic():
            processing_job.enqueue(media.pk, owner.pk)
        pks.append(media.pk)
    return pks
