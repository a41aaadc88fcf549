"""Stream all personal data of a user as one JSON object with one array per section.

Sections are read one after the other, in chunks. A change during the export may appear in one section and not in
another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from rest_framework.utils.encoders import JSONEncoder

from accounts.personal_data_registry import Row, get_categories

ROW_BATCH_SIZE = 200

_encoder = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def stream_export(user_id: int, **more: Iterator[Row]) -> Iterator[bytes]:
    """Yield the document in pieces that join to valid JSON. Raises User.DoesNotExist before the first piece.

    `more`: further sections, by name.
    """
    opening = b"{"
    for name, rows in chain(_sections(user_id), more.items()):
        yield from _section(opening + json.dumps(name).encode() + b":[", rows)
        opening = b","
    yield b"}"


def _sections(user_id: int) -> Iterator[tuple[str, Iterator[Row]]]:
    for category in get_categories():
        if category.export is not None:
            yield category.name, category.export(user_id)


def _section(opening: bytes, rows: Iterator[Row]) -> Iterator[bytes]:
    separator = b""
    for batch in _encode_batches(rows):
        yield opening + separator + b",".join(batch)
        opening, separator = b"", b","
    yield opening + b"]"


def _encode_batches(rows: Iterable[Row]) -> Iterator[list[bytes]]:
    iterator = iter(rows)
    while batch := [_encoder.encode(row).encode() for row in islice(iterator, ROW_BATCH_SIZE)]:
        yield batch
