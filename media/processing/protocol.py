"""The messages between parent and child: options of a job, the resulting picture and its files, sent over pipes.

The child reads untrusted files, so its answers are untrusted, too: `parse_picture` accepts only what a healthy child
would answer, and only the files that the child was to make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from media.processing.formats import SNIFFED_BYTES, Format, sniff

SIZES = (150, 320, 640, 1080)  # longest sides in pixels

VariantFormat = Literal["webp", "jpeg"]
VARIANT_FORMATS: tuple[VariantFormat, ...] = ("webp", "jpeg")
_BLURHASH = re.compile(r"[0-9A-Za-z#$%*+,\-.:;=?@\[\]^_{|}~]{6,60}")


@dataclass(frozen=True, slots=True)
class Options:
    """Limits for the source, and whether each size is written as JPEG, too."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    jpeg: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of a picture and its file.

    Pictures are not enlarged: all sizes beyond the original name the file of the smallest size that holds all of it.
    """

    size: int
    format: VariantFormat
    filename: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A processed picture. `width` and `height` are those of the upright original; `variants` has all `SIZES`."""

    width: int
    height: int
    blurhash: str
    source_format: Format
    variants: tuple[Variant, ...]


def variant_filename(size: int, format: VariantFormat) -> str:
    return f"{size}.{format}"


def parse_picture(answer: dict[str, Any], files: Mapping[str, bytes], options: Options) -> Picture:
    """Check the child's answer and its files by name, and return the picture.

    Raises ValueError, TypeError or KeyError for an answer that no healthy child gives.
    """
    variants = tuple(Variant(**fields) for fields in answer["variants"])
    expected = [(size, format) for format in VARIANT_FORMATS[: 1 + options.jpeg] for size in SIZES]
    if [(variant.size, variant.format) for variant in variants] != expected:
        raise ValueError("not the requested variants")
    for variant in variants:
        _check_variant(variant, files)
    if files.keys() != {variant.filename for variant in variants}:
        raise ValueError("files that are no variants")
    if not isinstance(answer["blurhash"], str) or not _BLURHASH.fullmatch(answer["blurhash"]):
        raise ValueError("not a blurhash")
    width, height = _positive_int(answer["width"]), _positive_int(answer["height"])
    if width * height > options.max_pixels:
        raise ValueError("more pixels than allowed")
    return Picture(width, height, answer["blurhash"], Format(answer["source_format"]), variants)


def _check_variant(variant: Variant, files: Mapping[str, bytes]) -> None:
    if variant.filename not in {variant_filename(size, variant.format) for size in SIZES if size <= variant.size}:
        raise ValueError("not a file of this variant")
    if max(_positive_int(variant.width), _positive_int(variant.height)) > variant.size:
        raise ValueError("larger than its size")
    content = files[variant.filename]
    if len(content) != _positive_int(variant.bytes):
        raise ValueError("not the length of the file")
    if sniff(content[:SNIFFED_BYTES]) != variant.format:
        raise ValueError("not a picture")


def _positive_int(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"not a positive integer: {value!r}")
    return value
