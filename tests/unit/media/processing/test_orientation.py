"""Pictures of every EXIF orientation become upright and are rotated only once."""

from __future__ import annotations

import pytest
from PIL import Image

from media.processing import Format, Options
from media.processing.child.rendering import render
from tests.unit.media.processing.samples import (
    FORMATS_WITH_ORIENTATION,
    difference,
    encode,
    four_colours,
    render_variant,
)

# How to store an upright picture with each orientation: the inverse of a viewer's transformation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encode_with_orientation(image: Image.Image, orientation: int, format: Format) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    transposition = STORED[orientation]
    return encode(image if transposition is None else image.transpose(transposition), format, exif=exif.tobytes())


@pytest.mark.parametrize("format", FORMATS_WITH_ORIENTATION)
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_gives_the_same_picture(orientation: int, format: Format) -> None:
    content = encode_with_orientation(four_colours(), orientation, format)
    picture, _ = render(content, Options())
    assert (picture.width, picture.height) == (96, 64)
    assert difference(render_variant(content), four_colours()) < 6
    assert difference(render_variant(content, "1080.jpeg"), four_colours()) < 6


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_is_rotated_after_decoding_at_half_size(orientation: int) -> None:
    content = encode_with_orientation(four_colours(2400, 1600), orientation, Format.JPEG)
    picture, _ = render(content, Options())
    assert (picture.width, picture.height) == (2400, 1600)
    assert difference(render_variant(content), four_colours(1080, 720)) < 3


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_unreadable_metadata_is_ignored(exif: bytes) -> None:
    assert difference(render_variant(encode(four_colours(), Format.JPEG, exif=exif)), four_colours()) < 6


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_invalid_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(render_variant(encode(four_colours(), Format.JPEG, exif=exif.tobytes())), four_colours()) < 6
