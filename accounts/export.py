"""All that is held about a user as one JSON object: an array a section, made while it is being sent.

Sections are read one after the other, in chunks: what changes meanwhile may be in one section and not yet in
another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice

from rest_framework.utils.encoders import JSONEncoder

from accounts.personal_data_registry import Row, get_categories

ROW_BATCH_SIZE = 200

_encoder = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def stream_export(user_id: int) -> Iterator[bytes]:
    """The document in pieces; joined, they are valid JSON. Raises User.DoesNotExist before the first."""
    opening = b"{"
    for holding in get_categories():
        if holding.export is not None:
            yield from _section(opening + json.dumps(holding.name).encode() + b":[", holding.export(user_id))
            opening = b","
    yield b"}"


def _section(opening: bytes, rows: Iterator[Row]) -> Iterator[bytes]:
    between = b""
    for piece in _encode_batches(rows):
        yield opening + between + b",".join(piece)
        opening, between = b"", b","
    yield opening + b"]"


def _encode_batches(rows: Iterable[Row]) -> Iterator[list[bytes]]:
    iterator = iter(rows)
    while piece := [_encoder.encode(row).encode() for row in islice(iterator, ROW_BATCH_SIZE)]:
        yield piece
