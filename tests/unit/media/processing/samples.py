"""Generated sample pictures, the same in every run, and helpers to examine the results."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops, ImageStat

from media.processing import Format, Options
from media.processing.child.rendering import render

COLOURS = ("#d02010", "#10b030", "#2040d0", "#f0e040")
FORMATS = tuple(Format)
FORMATS_WITH_ORIENTATION = tuple(format for format in FORMATS if format is not Format.GIF)


def four_colours(width: int = 96, height: int = 64) -> Image.Image:
    """Return four quarters of four colours, which every rotation and mirroring changes."""
    small = Image.new("RGB", (2, 2))
    for number, colour in enumerate(COLOURS):
        small.paste(colour, (number % 2, number // 2, number % 2 + 1, number // 2 + 1))
    return small.resize((width, height), Image.Resampling.NEAREST)


def encode(image: Image.Image, format: Format = Format.PNG, **parameters: Any) -> bytes:
    if format in (Format.JPEG, Format.WEBP, Format.AVIF, Format.HEIC):
        parameters.setdefault("quality", 95)
    with BytesIO() as file:
        image.save(file, "HEIF" if format is Format.HEIC else format, **parameters)
        return file.getvalue()


def render_variant(content: bytes, name: str = "1080.webp", **options: Any) -> Image.Image:
    """Render `content` and return one of its variants, decoded."""
    picture, contents = render(content, Options(jpeg=True, **options))
    size, format = name.split(".")
    file = next(v.filename for v in picture.variants if (str(v.size), v.format) == (size, format))
    image = Image.open(BytesIO(contents[file]))
    image.load()
    return image


def quarter_colours(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours in the middle of the four quarters."""
    width, height = image.size
    image = image.convert("RGBA")
    places = [(width * x // 4, height * y // 4) for y in (1, 3) for x in (1, 3)]
    return [image.getpixel(place) for place in places]  # type: ignore[misc]


def is_near(pixel: tuple[int, ...], expected: tuple[int, ...], within: int = 6) -> bool:
    return all(abs(ours - theirs) <= within for ours, theirs in zip(pixel, expected, strict=True))


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the largest mean difference of a channel, of 255."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, pixels: bytes = b"", colour: int = 2) -> bytes:
    """Return an 8-bit PNG that claims any size. `pixels` must be compressed."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = (png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(width: int, height: int, frames: int) -> bytes:
    """Return a GIF that claims this size. Each frame holds one pixel."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\xff\0\0\0\0\xff"
    frame = b"\x21\xf9\x04\0\1\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + frame * frames + b"\x3b"


def p3_profile() -> bytes:
    """Return a Display P3 profile as phones embed it: three primaries, adapted to D50, and the sRGB curve."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"para\0\0\0\0\0\3\0\0" + s15(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    description = b"desc\0\0\0\0" + struct.pack(">I", 3) + b"P3\0" + bytes(78)
    tags = {
        b"desc": description + bytes(-len(description) % 4),
        b"cprt": b"text\0\0\0\0none",
        b"wtpt": b"XYZ \0\0\0\0" + s15(0.9642, 1, 0.8249),
        b"rXYZ": b"XYZ \0\0\0\0" + s15(0.51512, 0.2412, -0.00105),
        b"gXYZ": b"XYZ \0\0\0\0" + s15(0.29198, 0.69225, 0.04189),
        b"bXYZ": b"XYZ \0\0\0\0" + s15(0.1571, 0.06657, 0.78407),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + s15(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + body
