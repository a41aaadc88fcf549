"""The number of scans of a JPEG.

A progressive JPEG may repeat scans without end: each costs a few hundred bytes and one pass over all coefficients.
Encoders write about ten.
"""

from __future__ import annotations

import re

MAX_SCANS = 64
MAX_SEGMENTS = 20_000  # a photograph of a phone has fewer than a hundred
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# A marker that begins a segment or ends the image. Not a stuffed 0xFF, a fill byte, or a marker inside a scan.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")


def has_too_many_scans(content: bytes) -> bool:
    """Return whether a decoder would read more than MAX_SCANS scans, or MAX_SEGMENTS segments, before the end."""
    scans = 0
    position = 2  # behind the start of the image
    for _ in range(MAX_SEGMENTS):
        marker = _MARKER.search(content, position)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            return False
        scans += marker[1][0] == _START_OF_SCAN
        if scans > MAX_SCANS:
            return True
        position = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    return True
