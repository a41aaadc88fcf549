"""JPEGs that repeat their scans: each costs little to send and much to decode."""

from __future__ import annotations

import pytest
from PIL import Image

from media.processing import BadPicture, Format, Options, Reason
from media.processing.child.jpeg_scans import MAX_SCANS, MAX_SEGMENTS
from media.processing.child.rendering import render
from tests.unit.media.processing.samples import encode, four_colours

END = b"\xff\xd9"
SCAN = b"\xff\xda"


def progressive(image: Image.Image | None = None) -> bytes:
    return encode(image or four_colours(), Format.JPEG, progressive=True)


def with_repeated_scan(content: bytes, times: int) -> bytes:
    """Return the JPEG with its last scan `times` more."""
    last = content[content.rindex(SCAN) : content.rindex(END)]
    return content.removesuffix(END) + last * times + END


def insert_segment(content: bytes, segment: bytes) -> bytes:
    return content[:2] + segment + content[2:]


def assert_refused(content: bytes) -> None:
    with pytest.raises(BadPicture) as raised:
        render(content, Options())
    assert raised.value.reason is Reason.TOO_SLOW


def test_repeated_scans_are_refused() -> None:
    content = progressive()
    more = MAX_SCANS - content.count(SCAN)
    assert render(with_repeated_scan(content, more), Options())
    assert_refused(with_repeated_scan(content, more + 1))


@pytest.mark.parametrize("disguise", [b"\xff" * 9, b"junk", b"\xff\x00", b"\xff\xd0"])
def test_what_decoders_skip_between_scans_hides_none(disguise: bytes) -> None:
    content = with_repeated_scan(progressive(), MAX_SCANS)
    last = content.index(SCAN)
    assert_refused(content[:last] + content[last:].replace(SCAN, disguise + SCAN))


def test_too_many_segments_are_refused() -> None:
    content = encode(four_colours(), Format.JPEG)
    assert render(insert_segment(content, b"\xff\xe9\x00\x04ab" * 100), Options())
    assert_refused(insert_segment(content, b"\xff\xe9\x00\x04ab" * MAX_SEGMENTS))


def test_scans_of_embedded_pictures_and_appended_files_do_not_count() -> None:
    """Thumbnails are in segments. Cameras append a second picture or a film behind the end."""
    thumbnail = with_repeated_scan(progressive(), MAX_SCANS)
    assert len(thumbnail) < 65_000
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    content = insert_segment(progressive(), segment)
    assert render(content + thumbnail + SCAN * 1_000, Options())
