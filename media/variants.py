"""The files of a picture: generate them, list their paths, and serialize them for clients.

`Media.variants` is `{"150": {"name": "150.webp", "width": 150, "height": 113, "jpeg": "150.jpeg"}, …}` with all four
sizes. Sizes larger than the picture name the file of the smallest size that holds all of it. "jpeg" is present if
MEDIA_JPEG was on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from media import storage
from media.models import Media, Status
from media.processing import SIZES, VARIANT_FORMATS, Options, Picture, process, variant_filename

LARGEST = str(max(SIZES))

MakeUrl = Callable[[str], str | storage.PrivateFile]


def generate(original: Path, directory: Path) -> Picture:
    """Generate all variants of `original` in `directory`, within the limits of the settings (`processing.process`)."""
    options = Options(settings.MEDIA_MAX_BYTES, settings.MEDIA_MAX_PIXELS, settings.MEDIA_JPEG)
    return process(original, directory, options)


def directory_of(media: Media) -> str:
    """Return the storage directory of the picture's files."""
    return storage.variants_directory(media.key, is_public=media.is_public)


def possible_paths(media: Media) -> list[str]:
    """Return every path that may exist under the picture's key, written or not; none without a key."""
    if not media.key:
        return []
    directory = directory_of(media)
    return [f"{directory}/{variant_filename(size, format)}" for size in SIZES for format in VARIANT_FORMATS]


def file_names(media: Media) -> list[str]:
    """Return the distinct file names of a ready picture."""
    names = [variant.get(field) for variant in media.variants.values() for field in ("name", "jpeg")]
    return list(dict.fromkeys(name for name in names if name))


def model_fields(picture: Picture) -> dict[str, Any]:
    """Return the fields of the `Media` row for a processed picture."""
    return {
        "width": picture.width,
        "height": picture.height,
        "blurhash": picture.blurhash,
        "variants": variants_json(picture),
    }


def variants_json(picture: Picture) -> dict[str, dict[str, Any]]:
    """Return the value of `Media.variants` for a processed picture."""
    found: dict[str, dict[str, Any]] = {}
    for variant in picture.variants:
        entry = found.setdefault(str(variant.size), {"width": variant.width, "height": variant.height})
        entry["name" if variant.format == "webp" else "jpeg"] = variant.filename
    return found


def serialize(media: Media, make_url: MakeUrl = storage.url_or_placeholder) -> dict[str, Any]:
    """Return the picture as posts show it.

    `make_url` turns a path into a URL. The default leaves placeholders for private files, so that the result can be
    cached; `storage.sign_placeholders` replaces them. `storage.url` makes signed URLs that expire.
    """
    directory = directory_of(media)
    variants = {}
    if media.status == Status.READY:
        variants = {size: _serialize_variant(variant, directory, make_url) for size, variant in media.variants.items()}
    return {
        "id": str(media.pk),
        "kind": "image",
        "url": variants[LARGEST]["url"] if variants else None,
        "width": media.width,
        "height": media.height,
        "blurhash": media.blurhash or None,
        "alt_text": media.alt_text,
        "variants": variants,
    }


def variant_url(media: Media, size: int) -> str | None:
    """Return the URL of one variant, or None unless the picture is ready. Raises storage.StorageError.

    The URL of a private file expires.
    """
    variant = media.variants.get(str(size)) if media.status == Status.READY else None
    return storage.url(f"{directory_of(media)}/{variant['name']}") if variant else None


def _serialize_variant(variant: dict[str, Any], directory: str, make_url: MakeUrl) -> dict[str, Any]:
    data = {"url": make_url(f"{directory}/{variant['name']}"), "width": variant["width"], "height": variant["height"]}
    if jpeg := variant.get("jpeg"):
        data["jpeg_url"] = make_url(f"{directory}/{jpeg}")
    return data
