"""Conversion to sRGB: every mode and profile keeps its colours."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image, ImageCms, ImageColor

from media.processing import Format
from tests.unit.media.processing.samples import (
    COLOURS,
    encode,
    four_colours,
    is_near,
    p3_profile,
    quarter_colours,
    render_variant,
)

EXPECTED = [(*ImageColor.getrgb(colour), 255) for colour in COLOURS]


def same_colours(content: bytes) -> bool:
    pairs = zip(quarter_colours(render_variant(content)), EXPECTED, strict=True)
    return all(is_near(ours, theirs, 12) for ours, theirs in pairs)


@pytest.mark.parametrize("size", [(96, 64), (4400, 320)], ids=["small", "averaged"])
@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "PA"])
def test_modes_keep_their_colours(mode: str, size: tuple[int, int]) -> None:
    image = four_colours(*size)
    image = image.quantize(16) if mode in ("P", "PA") else image.convert(mode)
    if mode == "PA":
        image.info["transparency"] = 255
    assert same_colours(encode(image))


@pytest.mark.parametrize("size", [(8, 8), (4400, 320)], ids=["small", "averaged"])
@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 100, (100, 100, 100, 255)),
        ("1", 1, (255, 255, 255, 255)),
        ("I;16", 100 * 257, (100, 100, 100, 255)),
        ("I;16", 65535, (255, 255, 255, 255)),
        ("LA", (100, 128), (100, 100, 100, 128)),
        ("RGBA", (200, 100, 50, 128), (200, 100, 50, 128)),
        ("RGBA", (200, 100, 50, 255), (200, 100, 50, 255)),
    ],
)
def test_values_keep_their_scale(
    mode: str, value: int | tuple[int, ...], expected: tuple[int, ...], size: tuple[int, int]
) -> None:
    if mode == "I;16":
        assert isinstance(value, int)
        image = Image.frombytes("I;16", size, value.to_bytes(2, "little") * (size[0] * size[1]))
    else:
        image = Image.new(mode, size, value)
    for corner in quarter_colours(render_variant(encode(image, compress_level=1))):
        assert is_near(corner, expected, 4)


def test_transparency_is_kept_in_webp_and_white_in_jpeg() -> None:
    image = four_colours().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 48, 32))
    content = encode(image)
    webp, jpeg = render_variant(content), render_variant(content, "1080.jpeg")
    assert quarter_colours(webp)[0][3] == 0
    assert is_near(quarter_colours(webp)[3], EXPECTED[3], 12)
    assert is_near(quarter_colours(jpeg)[0], (255, 255, 255, 255))
    assert is_near(quarter_colours(jpeg)[3], EXPECTED[3], 12)


def test_transparent_pixels_do_not_bleed_into_neighbours() -> None:
    image = Image.new("RGBA", (3000, 100), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 1501, 100))
    result = render_variant(encode(image)).convert("RGBA")
    red, alpha = result.getchannel("R").tobytes(), result.getchannel("A").tobytes()
    assert min(value for value, opacity in zip(red, alpha, strict=True) if opacity > 40) > 240


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_transparent_colour_of_a_png(mode: str) -> None:
    image = Image.new("RGB", (40, 40), "#102030")
    image.paste("white", (20, 0, 40, 40))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    alphas = [pixel[3] for pixel in quarter_colours(render_variant(encode(image, transparency=image.getpixel((0, 0)))))]
    assert alphas == [0, 255, 0, 255]


def test_opaque_alpha_channel_is_dropped() -> None:
    assert render_variant(encode(four_colours().convert("RGBA"))).mode == "RGB"


@pytest.mark.parametrize("format", [Format.GIF, Format.WEBP])
def test_first_frame_of_an_animation_is_used(format: Format) -> None:
    others = [Image.new("RGB", (96, 64), colour) for colour in ("black", "white")]
    assert same_colours(encode(four_colours(), format, save_all=True, append_images=others))


def test_adobe_cmyk() -> None:
    """Pillow writes inverted values and Adobe's marker, like Photoshop."""
    content = encode(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), Format.JPEG)
    assert b"Adobe" in content
    assert is_near(quarter_colours(render_variant(content))[0], (255, 0, 0, 255), 4)


def test_display_p3_becomes_srgb() -> None:
    """Compare with the colour arithmetic: linear light, one matrix, the sRGB curve."""
    given = (200, 120, 60)
    linear = [((value / 255 + 0.055) / 1.055) ** 2.4 for value in given]
    matrix = ((1.22494, -0.22494, 0.0), (-0.04206, 1.04206, 0.0), (-0.01964, -0.07864, 1.09828))
    expected = [sum(a * b for a, b in zip(row, linear, strict=True)) for row in matrix]
    srgb = tuple(round(255 * (1.055 * value ** (1 / 2.4) - 0.055)) for value in expected)
    assert not is_near(srgb, given, 8)
    image = Image.new("RGB", (40, 40), given)
    for format in (Format.PNG, Format.JPEG, Format.WEBP, Format.HEIC, Format.AVIF):
        result = quarter_colours(render_variant(encode(image, format, icc_profile=p3_profile())))[0]
        assert is_near(result, (*srgb, 255), 5), format
    transparent = image.convert("RGBA")
    transparent.putalpha(128)
    assert is_near(quarter_colours(render_variant(encode(transparent, icc_profile=p3_profile())))[0], (*srgb, 128), 5)


@pytest.mark.parametrize("broken", [b"nonsense", p3_profile()[:200], p3_profile()[:128] + bytes(200), b"\0" * 3_000])
def test_unusable_profile_is_ignored(broken: bytes) -> None:
    assert same_colours(encode(four_colours(), Format.JPEG, icc_profile=broken))


def test_profile_of_another_colour_space_is_ignored() -> None:
    grey = Image.new("L", (40, 40), 100)
    assert is_near(quarter_colours(render_variant(encode(grey, icc_profile=p3_profile())))[0], (100, 100, 100, 255), 3)
    lab = BytesIO(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()).getvalue()
    assert same_colours(encode(four_colours(), icc_profile=lab))
