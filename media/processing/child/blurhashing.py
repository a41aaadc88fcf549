"""The blurhash of a picture: a few characters from which a client paints a blurred preview (https://blurha.sh)."""

from __future__ import annotations

import blurhash
from PIL import Image

from media.processing.child.colour import flatten_on_white
from media.processing.child.downscale import fit_within

_SIDE = 24  # pixels, enough for the four components per side


def compute_blurhash(image: Image.Image) -> str:
    """Return the blurhash of an RGB or RGBA image: four components along the longer side, three along the shorter."""
    small = flatten_on_white(image).resize(fit_within(image.size, _SIDE), Image.Resampling.BOX)
    width, height = small.size
    pixels = small.get_flattened_data()
    rows = [pixels[row * width : (row + 1) * width] for row in range(height)]
    across, down = (4, 3) if width >= height else (3, 4)
    text: str = blurhash.encode(rows, across, down)
    return text
