"""Files that are stored in parts, over minutes and by several workers: S3's multipart uploads, or a local directory.

A part is stored under its number. It may be stored again, and only parts that `complete` names become part of the file,
each exactly as it was when `put` described it. Until then the file does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from media.storage.backend import Part, default_backend
from media.storage.paths import kind_of


def min_part_size() -> int:
    """Return how many bytes each part but the last must have at least."""
    with default_backend() as backend:
        return backend.min_part_size


def begin(path: str) -> str:
    """Begin a file and return the id of its upload."""
    kind_of(path)
    with default_backend() as backend:
        return backend.begin_parts(path)


def put(path: str, upload_id: str, number: int, file: IO[bytes]) -> Part:
    """Stream a whole seekable file to the part `number`, from 1 on. Return its description. Raises UploadLost."""
    file.seek(0)
    with default_backend() as backend:
        return backend.put_part(path, upload_id, number, file)


def complete(path: str, upload_id: str, parts: Sequence[Part]) -> None:
    """Join the parts, in the order of their numbers; the file appears completely or not at all. Raises UploadLost."""
    with default_backend() as backend:
        backend.complete_parts(path, upload_id, parts)


def abort(path: str, upload_id: str) -> None:
    """Delete the parts of an upload that was not completed. One that does not exist is ignored."""
    with default_backend() as backend:
        backend.abort_parts(path, upload_id)
