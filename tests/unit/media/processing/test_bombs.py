"""Decompression bombs: small files that claim a huge size or unpack to one."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image

from media.processing import BadPicture, Format, Options, Reason
from media.processing.child.rendering import render
from tests.unit.media.processing.samples import FORMATS, encode, four_colours, gif, png, png_chunk

MEGABYTE = 2**20


def webp(width: int, height: int) -> bytes:
    """Return a WebP whose canvas is larger than its only frame."""
    frame = encode(four_colours(), Format.WEBP)[12:]
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + canvas + frame
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def jpeg(width: int, height: int) -> bytes:
    content = encode(four_colours(), Format.JPEG)
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def iso(format: Format, width: int, height: int) -> bytes:
    """Return a file whose container claims a size in its `ispe` box."""
    content = encode(four_colours(), format)
    claimed = b"ispe\0\0\0\0" + struct.pack(">II", width, height)
    at = content.index(b"ispe")
    return content[:at] + claimed + content[at + len(claimed) :]


CLAIMS = {
    "png": png(50_000, 50_000),
    "png by a little": png(10_000, 5_001),
    "gif": gif(65_535, 65_535, 1),
    "webp": webp(16_000, 16_000),
    "webp beyond the format": webp(2**24, 2**24),
    "jpeg": jpeg(65_500, 65_500),
    "jpeg by a little": jpeg(10_000, 5_001),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_too_many_pixels_in_the_header_are_refused(name: str) -> None:
    with pytest.raises(BadPicture) as raised:
        render(CLAIMS[name], Options())
    assert raised.value.reason is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("format", [Format.HEIC, Format.AVIF])
def test_too_many_pixels_in_a_container_are_refused(format: Format) -> None:
    """The libraries' own limits apply first to the largest sizes."""
    for size in ((10_000, 5_001), (60_000, 60_000)):
        with pytest.raises(BadPicture) as raised:
            render(iso(format, *size), Options())
        assert raised.value.reason in (Reason.TOO_MANY_PIXELS, Reason.DAMAGED)


@pytest.mark.parametrize("format", FORMATS)
def test_pixel_limit_is_inclusive(format: Format) -> None:
    content = encode(four_colours(100, 50), format)
    assert render(content, Options(max_pixels=5_000))[0].width == 100
    with pytest.raises(BadPicture) as raised:
        render(content, Options(max_pixels=4_999))
    assert raised.value.reason is Reason.TOO_MANY_PIXELS


def test_byte_limit_is_inclusive() -> None:
    content = encode(four_colours())
    assert render(content, Options(max_bytes=len(content)))
    with pytest.raises(BadPicture) as raised:
        render(content, Options(max_bytes=len(content) - 1))
    assert raised.value.reason is Reason.TOO_MANY_BYTES


def test_only_the_first_of_many_frames_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seeks = []
    monkeypatch.setattr(Image.Image, "seek", lambda self, frame: seeks.append(frame))
    picture, _ = render(gif(1, 1, 40_000), Options())
    assert (picture.width, picture.height) == (1, 1)
    assert seeks == []


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_compressed_text_is_not_unpacked(kind: bytes) -> None:
    bomb = zlib.compress(bytes(64 * MEGABYTE), 9)
    head = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0", b"iCCP": b"icc\0\0"}[kind]
    with pytest.raises(BadPicture) as raised:
        render(png(1, 1, png_chunk(kind, head + bomb), pixels=zlib.compress(bytes(4))), Options())
    assert raised.value.reason is Reason.DAMAGED


def test_many_compressed_texts_are_refused() -> None:
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(MEGABYTE - 1)))
    with pytest.raises(BadPicture):
        render(png(1, 1, *[text] * 100, pixels=zlib.compress(bytes(4))), Options())


def test_surplus_pixel_data_is_not_decoded() -> None:
    content = png(2, 2, pixels=zlib.compress(bytes(64 * MEGABYTE)))
    assert render(content, Options())[0].width == 2


def test_giant_metadata_is_ignored() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + struct.pack(">HHII", 0x0112, 3, 2**32 - 1, 8) * 5_000
    for format in (Format.WEBP, Format.PNG):
        assert render(encode(four_colours(), format, exif=exif, icc_profile=bytes(900_000)), Options())[0].width == 96
