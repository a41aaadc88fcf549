"""Which files a picture consists of, where they lie, and what clients see of them.

`Media.variants` is `{"150": {"name": "150.webp", "width": 150, "height": 113, "jpeg": "150.jpeg"}, …}`, all four
sizes; a picture that is smaller than a size has the same file there as at its own. "jpeg" is there if MEDIA_JPEG
was on.
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

Reference = Callable[[str], str | storage.PrivateFile]


def generate(original: Path, directory: Path) -> Picture:
    """`processing.process` within the bounds that the settings have."""
    options = Options(settings.MEDIA_MAX_BYTES, settings.MEDIA_MAX_PIXELS, settings.MEDIA_JPEG)
    return process(original, directory, options)


def directory_of(media: Media) -> str:
    """The directory of its files."""
    return storage.variants_directory(media.key, is_public=media.is_public)


def possible_paths(media: Media) -> list[str]:
    """Every file that may lie under its key, whether it was written or not; none without a key."""
    if not media.key:
        return []
    place = directory_of(media)
    return [f"{place}/{variant_filename(size, format)}" for size in SIZES for format in VARIANT_FORMATS]


def file_names(media: Media) -> list[str]:
    """The names of the files of a ready picture, each once."""
    named = [variant.get(kind) for variant in media.variants.values() for kind in ("name", "jpeg")]
    return list(dict.fromkeys(name for name in named if name))


def model_fields(picture: Picture) -> dict[str, Any]:
    """What was made, as the row of its `Media` holds it."""
    return {
        "width": picture.width,
        "height": picture.height,
        "blurhash": picture.blurhash,
        "variants": variants_json(picture),
    }


def variants_json(picture: Picture) -> dict[str, dict[str, Any]]:
    """Its files, as `Media.variants` holds them."""
    found: dict[str, dict[str, Any]] = {}
    for variant in picture.variants:
        entry = found.setdefault(str(variant.size), {"width": variant.width, "height": variant.height})
        entry["name" if variant.format == "webp" else "jpeg"] = variant.filename
    return found


def serialize(media: Media, reference: Reference = storage.url_or_placeholder) -> dict[str, Any]:
    """The picture as posts show it. By default with references, which `storage.sign_placeholders` makes URLs of; `storage.url`
    makes URLs that are for now only."""
    place = directory_of(media)
    variants = {}
    if media.status == Status.READY:
        variants = {size: _serialize_variant(variant, place, reference) for size, variant in media.variants.items()}
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
    """Where one variant of a ready picture is, for now; None for any other. Raises storage.StorageError."""
    variant = media.variants.get(str(size)) if media.status == Status.READY else None
    return storage.url(f"{directory_of(media)}/{variant['name']}") if variant else None


def _serialize_variant(variant: dict[str, Any], place: str, reference: Reference) -> dict[str, Any]:
    shown = {"url": reference(f"{place}/{variant['name']}"), "width": variant["width"], "height": variant["height"]}
    if jpeg := variant.get("jpeg"):
        shown["jpeg_url"] = reference(f"{place}/{jpeg}")
    return shown
