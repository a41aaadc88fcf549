"""Variants contain no metadata: no location, camera, names or embedded thumbnails."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from media.processing import Format, Options
from media.processing.child.rendering import render
from tests.unit.media.processing.samples import encode, four_colours, p3_profile

SECRET = "Elm Street 13"


def exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = SECRET
    exif[ExifTags.Base.Artist] = SECRET
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = SECRET.encode()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = SECRET.encode()
    return exif.tobytes()


XMP = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a>{SECRET}</a></x:xmpmeta>".encode()
ICC = p3_profile().replace(b"none", b"Elm ") + SECRET.encode()
IPTC = b"\xff\xed" + struct.pack(">H", 2 + 14 + len(SECRET)) + b"Photoshop 3.0\0" + SECRET.encode()


def picture_with_metadata(format: Format) -> bytes:
    """Return a picture with the secret in every kind of metadata of its format."""
    metadata: dict[str, object] = {"exif": exif(), "xmp": XMP, "icc_profile": ICC}
    if format is Format.PNG:
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", SECRET)
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        metadata = {"exif": exif(), "icc_profile": ICC, "pnginfo": text}
    if format is Format.GIF:
        metadata = {"comment": SECRET.encode()}
    if format is Format.JPEG:
        metadata["comment"] = SECRET
        content = encode(four_colours(700, 500), format, **metadata)
        return content[:2] + IPTC + content[2:]
    return encode(four_colours(700, 500), format, **metadata)


@pytest.mark.parametrize("format", list(Format))
def test_metadata_is_removed(format: Format) -> None:
    content = picture_with_metadata(format)
    assert SECRET.encode() in content
    _, contents = render(content, Options(jpeg=True))
    assert len(contents) == 8
    for name, file in contents.items():
        for word in (SECRET.encode(), b"Exif", b"http", b"xmp", b"ICC", b"GPS", b"acsp"):
            assert word not in file, (name, word)
        kinds = set(riff_chunks(file) if name.endswith("webp") else jpeg_markers(file))
        assert kinds <= ({b"VP8 "} if name.endswith("webp") else {0xE0, 0xDB, 0xC2, 0xC4, 0xDA}), name


def riff_chunks(content: bytes) -> Iterator[bytes]:
    at = 12
    while at < len(content):
        yield content[at : at + 4]
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + length + length % 2


def jpeg_markers(content: bytes) -> Iterator[int]:
    """Yield the markers of the segments before and between the scans."""
    at = 2
    while (marker := content[at + 1]) != 0xD9:
        yield marker
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == 0xDA:
            while content[at] != 0xFF or content[at + 1] in (0, *range(0xD0, 0xD8)):
                at += 1


def test_jpeg_markers_reads_to_the_end() -> None:
    assert {0xE1, 0xE2, 0xED, 0xFE} <= set(jpeg_markers(picture_with_metadata(Format.JPEG)))
