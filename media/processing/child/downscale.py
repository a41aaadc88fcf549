"""Downscaling from the decoded picture to the largest variant: the only expensive reduction.

Modes whose values cannot be averaged (palettes, colour keys, colour with separate alpha) are converted first, in bands
of rows: a converted copy of all 50 megapixels would take 200 MB more.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

Size = tuple[int, int]

_LANCZOS_FACTOR = 2  # box averaging stops at this multiple of the target size; Lanczos does the rest
_BAND_ROWS = 64  # rows per band, after averaging
_AVERAGEABLE_MODES = {"L", "La", "RGB", "RGBa", "CMYK", "I"}


def fit_within(size: Size, longest: int) -> Size:
    """Return `size` scaled so that no side exceeds `longest`; never enlarged, no side below one pixel."""
    share = min(1.0, longest / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def downscale(image: Image.Image, target: Size) -> Image.Image:
    """Return `image` at `target` pixels in one of the modes L, La, RGB, RGBa, CMYK, or I for 16-bit grey."""
    width, height = image.size
    factor = max(1, width // (target[0] * _LANCZOS_FACTOR)), max(1, height // (target[1] * _LANCZOS_FACTOR))
    convert = _converter_for(image)
    image = convert(image) if factor == (1, 1) else _box_average(image, factor, convert)
    # The last box of a row may cover fewer pixels, so the true edge is at a fraction of it.
    return image.resize(target, Image.Resampling.LANCZOS, (0, 0, width / factor[0], height / factor[1]))


def _converter_for(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    if image.has_transparency_data:
        if image.mode == "LA":
            return lambda part: part.convert("La")
        if image.mode not in ("La", "RGBa"):
            return lambda part: part.convert("RGBA").convert("RGBa")
    if image.mode in _AVERAGEABLE_MODES:
        return lambda part: part
    mode = "I" if image.mode.startswith("I;16") else "L" if image.mode == "1" else "RGB"
    return lambda part: part.convert(mode)


def _box_average(
    image: Image.Image, factor: tuple[int, int], convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Average boxes of `factor` pixels, band by band."""
    rows = _BAND_ROWS * factor[1]
    bands = [
        convert(image.crop((0, top, image.width, min(top + rows, image.height)))).reduce(factor)
        for top in range(0, image.height, rows)
    ]
    whole = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    for number, band in enumerate(bands):
        whole.paste(band, (0, number * _BAND_ROWS))
    return whole
