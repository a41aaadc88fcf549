"""Every picture has all four sizes, none is enlarged, and no side is below one pixel."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from media.processing import SIZES, Options
from media.processing.child.rendering import render
from tests.unit.media.processing.samples import encode, four_colours

CASES = {
    (2000, 1500): [(150, 112), (320, 240), (640, 480), (1080, 810)],
    (1500, 2000): [(112, 150), (240, 320), (480, 640), (810, 1080)],
    (500, 250): [(150, 75), (320, 160), (500, 250), (500, 250)],
    (640, 640): [(150, 150), (320, 320), (640, 640), (640, 640)],
    (60, 9000): [(1, 150), (2, 320), (4, 640), (7, 1080)],
    (9000, 60): [(150, 1), (320, 2), (640, 4), (1080, 7)],
    (1, 10000): [(1, 150), (1, 320), (1, 640), (1, 1080)],
    (1, 1): [(1, 1)] * 4,
}


@pytest.mark.parametrize("size", CASES)
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_variants_fit_their_size(size: tuple[int, int], format: str) -> None:
    with BytesIO() as file:
        four_colours(*size).save(file, format)
        picture, contents = render(file.getvalue(), Options())
    assert (picture.width, picture.height) == size
    assert [variant.size for variant in picture.variants] == list(SIZES)
    assert [(variant.width, variant.height) for variant in picture.variants] == CASES[size]
    for variant in picture.variants:
        image = Image.open(BytesIO(contents[variant.filename]))
        assert image.size == (variant.width, variant.height)
        assert len(contents[variant.filename]) == variant.bytes


def test_sizes_beyond_the_original_share_a_file() -> None:
    picture, contents = render(encode(four_colours(500, 250)), Options())
    assert [variant.filename for variant in picture.variants] == ["150.webp", "320.webp", "640.webp", "640.webp"]
    assert sorted(contents) == ["150.webp", "320.webp", "640.webp"]


def test_jpegs_follow_the_webps() -> None:
    picture, contents = render(encode(four_colours(2000, 1000)), Options(jpeg=True))
    assert [(v.format, v.size) for v in picture.variants] == [(f, s) for f in ("webp", "jpeg") for s in SIZES]
    assert len(contents) == 8
    largest = Image.open(BytesIO(contents["1080.jpeg"]))
    assert largest.format == "JPEG"
    assert largest.info["progressive"]


def test_last_rows_and_columns_are_kept() -> None:
    """4,343 is not a multiple of the averaged boxes, but the middle must stay in its place."""
    image = Image.new("RGB", (4343, 403), "black")
    image.paste("white", (4343 // 2, 0, 4343, 403))
    _, contents = render(encode(image), Options())
    row = Image.open(BytesIO(contents["1080.webp"])).convert("L").crop((0, 50, 1080, 51))
    dark = sum(value < 128 for value in row.tobytes())
    assert abs(dark - 540) <= 1


def test_blurhash_has_more_components_along_the_longer_side() -> None:
    lying, _ = render(encode(four_colours(90, 60)), Options())
    standing, _ = render(encode(four_colours(60, 90)), Options())
    assert len(lying.blurhash) == len(standing.blurhash) == 28
    assert lying.blurhash[0] == "L"  # four by three
    assert standing.blurhash[0] == "T"  # three by four
