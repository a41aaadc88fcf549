"""Formats are detected by the first bytes alone."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from media.processing import SNIFFED_BYTES, BadPicture, Format, Options, Reason, sniff
from media.processing.child.rendering import render
from tests.unit.media.processing.samples import FORMATS, encode, four_colours

HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'


def encode_with_pillow(format: str) -> bytes:
    with BytesIO() as file:
        four_colours().save(file, format)
        return file.getvalue()


REFUSED = {
    "empty": b"",
    "html": HTML,
    "svg": SVG,
    "text": b"hello",
    "pdf": b"%PDF-1.7\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "psd": b"8BPS\0\1" + bytes(40),
    "zip": b"PK\3\4" + bytes(40),
    "mp4": b"\0\0\0\x18ftypisom\0\0\2\0isommp41",
    "mif1 of another codec": b"\0\0\0\x18ftypmif1\0\0\0\0mif1jpeg",
    "riff": b"RIFF\x24\0\0\0WAVEfmt ",
    "begun": b"\x89PNG",
    **{format: encode_with_pillow(format) for format in ("TIFF", "BMP", "ICO", "PPM", "TGA", "JPEG2000")},
}


@pytest.mark.parametrize("format", FORMATS)
def test_accepted_formats_are_detected(format: Format) -> None:
    content = encode(four_colours(), format)
    assert sniff(content[:SNIFFED_BYTES]) is format
    assert sniff(content) is format
    assert render(content, Options())[0].source_format is format


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused(name: str) -> None:
    assert sniff(REFUSED[name][:SNIFFED_BYTES]) is None
    with pytest.raises(BadPicture, match="not a JPEG") as raised:
        render(REFUSED[name], Options())
    assert raised.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("major", "others", "format"),
    [
        (b"mif1", b"mif1heic", Format.HEIC),
        (b"mif1", b"miafavif", Format.AVIF),
        (b"avis", b"msf1", Format.AVIF),
        (b"heix", b"mif1", Format.HEIC),
    ],
)
def test_brand_without_codec_defers_to_the_compatible_brands(major: bytes, others: bytes, format: Format) -> None:
    assert sniff((16 + len(others)).to_bytes(4, "big") + b"ftyp" + major + bytes(4) + others) is format


def test_appended_data_is_dropped() -> None:
    for format in (Format.GIF, Format.JPEG, Format.PNG):
        picture, contents = render(encode(four_colours(), format) + HTML + b"PK\3\4secret.exe", Options(jpeg=True))
        assert picture.source_format is format
        assert not any(b"script" in content or b"secret" in content for content in contents.values())


def test_magic_number_alone_is_damaged() -> None:
    for content in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ", b"GIF89a" + HTML):
        with pytest.raises(BadPicture) as raised:
            render(content, Options())
        assert raised.value.reason is Reason.DAMAGED


def test_mpo_is_its_first_jpeg() -> None:
    with BytesIO() as file:
        four_colours().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))])
        picture, _ = render(file.getvalue(), Options())
    assert (picture.source_format, picture.width, picture.height) == (Format.JPEG, 96, 64)
