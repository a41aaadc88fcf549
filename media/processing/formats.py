"""The accepted image formats, detected by a file's first bytes and never by its name."""

from __future__ import annotations

from enum import StrEnum

SNIFFED_BYTES = 256  # enough for all formats, including the brands of an ISO file

_MAGIC = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))
_WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"VP8X")
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_ANY_CODEC_BRANDS = {b"mif1", b"msf1"}


class Format(StrEnum):
    """An accepted format. Of animations only the first frame is used. MPO, which phones write, counts as JPEG."""

    JPEG = "jpeg"
    PNG = "png"
    GIF = "gif"
    WEBP = "webp"
    HEIC = "heic"
    AVIF = "avif"


def sniff(first_bytes: bytes) -> Format | None:
    """Return the format of a file by its first `SNIFFED_BYTES` bytes, or None if it is not accepted.

    This refuses wrong uploads early. Only `process()` shows whether the file can be decoded.
    """
    for magic, name in _MAGIC:
        if first_bytes.startswith(magic):
            return Format(name)
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP" and first_bytes[12:16] in _WEBP_CHUNKS:
        return Format.WEBP
    return _iso_format(first_bytes)


def _iso_format(first_bytes: bytes) -> Format | None:
    """Tell HEIC and AVIF apart: the first box of their container names a brand and compatible brands."""
    if first_bytes[4:8] != b"ftyp":
        return None
    length = int.from_bytes(first_bytes[:4], "big")
    brands = [first_bytes[at : at + 4] for at in (8, *range(16, min(length, SNIFFED_BYTES), 4))]
    if brands[0] not in _AVIF_BRANDS | _HEIC_BRANDS | _ANY_CODEC_BRANDS:
        return None
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return Format.AVIF
        if brand in _HEIC_BRANDS:
            return Format.HEIC
    return None
