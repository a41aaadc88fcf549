"""The demo's pictures: drawn landscapes or photographs from a folder, processed like uploads.

A few dozen pictures are processed, and each post gets its own copy of the files of one. Processing hundreds of pictures
would take longer than the rest of the seeding.
"""

from __future__ import annotations

import colorsys
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from django.utils.crypto import salted_hmac
from PIL import Image, ImageDraw, ImageFilter

from media import storage, variants
from media.processing import BadPicture

MAX_PHOTOS = 200
DRAWN_PICTURES, AVATAR_PICTURES = 16, 8
AVATAR_SIZE = 320  # pixels
_SIZES = ((800, 800), (720, 900), (900, 675))


@dataclass(frozen=True, slots=True)
class DemoPicture:
    """A processed picture."""

    width: int
    height: int
    blurhash: str
    variants: dict[str, dict[str, Any]]  # as `media.variants` has it
    files: dict[str, bytes]


def draw_landscapes(seed: int) -> list[DemoPicture]:
    """Draw `DRAWN_PICTURES` abstract landscapes, the same for the same seed."""
    rng = Random(f"{seed}/pictures")
    return [_draw(*rng.choice(_SIZES), rng) for _ in range(DRAWN_PICTURES)]


def draw_avatars(seed: int) -> list[DemoPicture]:
    """Draw `AVATAR_PICTURES` small square pictures."""
    rng = Random(f"{seed}/avatars")
    return [_draw(AVATAR_SIZE, AVATAR_SIZE, rng) for _ in range(AVATAR_PICTURES)]


def read_photographs(folder: Path, skipped: Callable[[str], None]) -> list[DemoPicture]:
    """Read the folder's pictures, and call `skipped` with a message for each other file. Raises OSError."""
    pictures: list[DemoPicture] = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or len(pictures) == MAX_PHOTOS:
            continue
        try:
            pictures.append(_process(path))
        except BadPicture as error:
            skipped(f"skipped {path.name}: {error}")
    return pictures


def store_picture(picture: DemoPicture, name: str, *, is_public: bool) -> str:
    """Write a picture's files to the storage and return their key. It cannot be guessed without the secret key.

    The same name gives the same key, so the files of an interrupted seeding are replaced by the next one.
    """
    key = _storage_key(name)
    directory_path = storage.variants_directory(key, is_public=is_public)
    for filename, content in picture.files.items():
        storage.save(f"{directory_path}/{filename}", BytesIO(content), f"image/{filename.rpartition('.')[2]}")
    return key


def store_avatar(picture: DemoPicture, name: str) -> str:
    """Write a user's picture to the storage and return its path."""
    path = f"avatars/{_storage_key(name)}.webp"
    storage.save(path, BytesIO(picture.files[picture.variants[str(AVATAR_SIZE)]["name"]]), "image/webp")
    return path


def _storage_key(name: str) -> str:
    return salted_hmac("instafeed.demo.pictures", name, algorithm="sha256").hexdigest()[:40]


def _draw(width: int, height: int, rng: Random) -> DemoPicture:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        _landscape(width, height, rng).save(file, "JPEG", quality=92)
        file.flush()
        return _process(Path(file.name))


def _process(source: Path) -> DemoPicture:
    with tempfile.TemporaryDirectory(prefix="instafeed-demo-") as directory:
        generated = variants.generate(source, Path(directory))
        files = {name: (Path(directory) / name).read_bytes() for name in {v.filename for v in generated.variants}}
    return DemoPicture(generated.width, generated.height, generated.blurhash, variants.variants_json(generated), files)


def _landscape(width: int, height: int, rng: Random) -> Image.Image:
    """Draw a sky of two colours, a sun, and a few ridges, each darker than the one behind it."""
    hue = rng.random()
    sky = Image.new("RGB", (1, 2))
    sky.putpixel((0, 0), _rgb(hue, 0.45, 0.95))
    sky.putpixel((0, 1), _rgb(hue + rng.uniform(0.08, 0.25), 0.55, 0.98))
    image = sky.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    radius, x, y = width * rng.uniform(0.06, 0.14), width * rng.uniform(0.2, 0.8), height * rng.uniform(0.15, 0.45)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_rgb(hue + 0.1, 0.15, 1.0))
    image = image.filter(ImageFilter.BoxBlur(width / 400))
    draw = ImageDraw.Draw(image)
    ridges = rng.randint(3, 5)
    for ridge in range(ridges):
        depth = (ridge + 1) / ridges
        colour = _rgb(hue + 0.5 + 0.05 * ridge, 0.35 + 0.2 * depth, 0.75 - 0.5 * depth)
        outline = _ridge(width, height * (0.4 + 0.5 * depth), height * 0.09, rng)
        draw.polygon([*outline, (width, height), (0, height)], fill=colour)
    return image


def _ridge(width: int, level: float, swing: float, rng: Random) -> Iterator[tuple[float, float]]:
    waves = [(rng.uniform(0.5, 6), rng.uniform(0, math.tau), swing / (n + 1)) for n in range(3)]
    for x in range(0, width + 8, 8):
        bends = (size * math.sin(turns * math.tau * x / width + start) for turns, start, size in waves)
        yield x, level + sum(bends)


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
