"""The demo's pictures: drawn gradients, or photographs from a folder, as WebP of at most 1,080 pixels.

A few dozen distinct ones are made and each post gets its own file with one of them: encoding hundreds of
different pictures would take longer than all the rest of a demo.
"""

from __future__ import annotations

import colorsys
import math
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

from django.utils.crypto import salted_hmac
from PIL import Image, ImageDraw, ImageFilter, ImageOps, UnidentifiedImageError

from media import storage

LONGEST_SIDE = 1080  # pixels
MOST_PIXELS = 60_000_000  # a photograph that claims more is not opened
MOST_PHOTOS = 200
DRAWN, AVATARS = 16, 8  # distinct ones
AVATAR = 320  # pixels
_SHAPES = ((800, 800), (720, 900), (900, 675))  # drawn smaller: 40 ms each instead of 100
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
# All that Pillow raises for broken files.
_BROKEN = (
    OSError, ValueError, TypeError, EOFError, IndexError, KeyError, SyntaxError, struct.error, MemoryError,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    content: bytes
    width: int
    height: int


def drawn(seed: int) -> list[Picture]:
    """`DRAWN` abstract landscapes, the same for the same seed."""
    rng = Random(f"{seed}/pictures")
    return [_encoded(_landscape(*rng.choice(_SHAPES), rng)) for _ in range(DRAWN)]


def avatars(seed: int) -> list[Picture]:
    """`AVATARS` small square pictures."""
    rng = Random(f"{seed}/avatars")
    return [_encoded(_landscape(AVATAR, AVATAR, rng)) for _ in range(AVATARS)]


def photographs(folder: Path, skipped: Callable[[str], None]) -> list[Picture]:
    """The folder's pictures upright, without metadata; `skipped` is told of each file that is none.

    Raises OSError when the folder cannot be read.
    """
    pictures: list[Picture] = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or len(pictures) == MOST_PHOTOS:
            continue
        try:
            pictures.append(_encoded(_photograph(path)))
        except _BROKEN as error:
            known = isinstance(error, UnidentifiedImageError) or not str(error)
            skipped(f"skipped {path.name}: {'no picture' if known else str(error).splitlines()[0]}")
    return pictures


def store(picture: Picture, name: str) -> str:
    """Write it to the default storage; returns its path, which only who knows the secret key can tell.

    The same name gives the same path, so a seeding that was broken off leaves nothing that the next one
    does not replace.
    """
    key = salted_hmac("feeds.demo.pictures", name, algorithm="sha256").hexdigest()[:40]
    path = f"public/{key}/{LONGEST_SIDE}.webp"
    storage.save(path, BytesIO(picture.content), "image/webp")
    return path


def _photograph(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} × {image.height} pixels are too many")
            image.draft("RGB", (2 * LONGEST_SIDE, 2 * LONGEST_SIDE))  # a JPEG decodes faster at half size
            upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    # Only pixels are copied: no EXIF, XMP, comment or colour profile comes along.
    bare = Image.new("RGB", upright.size)
    bare.paste(upright)
    return bare


def _encoded(image: Image.Image) -> Picture:
    with BytesIO() as file:
        image.save(file, "WEBP", quality=80, method=1)
        return Picture(file.getvalue(), image.width, image.height)


def _landscape(width: int, height: int, rng: Random) -> Image.Image:
    """A sky that blends two colours, a sun, and a few ridges, each darker than the one behind it."""
    hue = rng.random()
    sky = Image.new("RGB", (1, 2))
    sky.putpixel((0, 0), _colour(hue, 0.45, 0.95))
    sky.putpixel((0, 1), _colour(hue + rng.uniform(0.08, 0.25), 0.55, 0.98))
    image = sky.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    radius, x, y = width * rng.uniform(0.06, 0.14), width * rng.uniform(0.2, 0.8), height * rng.uniform(0.15, 0.45)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_colour(hue + 0.1, 0.15, 1.0))
    image = image.filter(ImageFilter.BoxBlur(width / 400))
    draw = ImageDraw.Draw(image)
    ridges = rng.randint(3, 5)
    for ridge in range(ridges):
        depth = (ridge + 1) / ridges
        colour = _colour(hue + 0.5 + 0.05 * ridge, 0.35 + 0.2 * depth, 0.75 - 0.5 * depth)
        outline = _ridge(width, height * (0.4 + 0.5 * depth), height * 0.09, rng)
        draw.polygon([*outline, (width, height), (0, height)], fill=colour)
    return image


def _ridge(width: int, level: float, swing: float, rng: Random) -> Iterator[tuple[float, float]]:
    waves = [(rng.uniform(0.5, 6), rng.uniform(0, math.tau), swing / (n + 1)) for n in range(3)]
    for x in range(0, width + 8, 8):
        bends = (size * math.sin(turns * math.tau * x / width + start) for turns, start, size in waves)
        yield x, level + sum(bends)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
