"""The interface of a storage backend beyond Django's own, its errors, and access to the configured backend."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, cast

from django.conf import settings
from django.core.files.storage import default_storage

from instafeed.core.exceptions import DependencyUnavailable

UPLOAD_TTL = 900  # seconds until the form of a direct upload expires
# The most paths with a wildcard that CloudFront accepts at a time. It is here because the module `cloudfront` imports
# boto3, which takes 8 MB of each process.
INVALIDATION_BATCH_SIZE = 15


class StorageError(DependencyUnavailable):
    """The storage is unavailable or refuses."""


class FileMissing(StorageError):
    """The storage answers that it has no such file."""


class UploadLost(StorageError):
    """The storage no longer has an upload in parts, or not the parts as they were stored."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A request that a client sends to upload a file: a multipart form with `fields`, then the field `file`."""

    method: str
    url: str
    fields: dict[str, str] = field(default_factory=dict)


Part = dict[str, Any]  # what a backend needs to find a stored part again, as JSON


class Backend(Protocol):
    """A Django storage that knows the layout. Callers check paths.

    `failures`: the exceptions that it raises when it is unavailable or refuses, besides FileMissing and UploadLost.
    """

    failures: tuple[type[Exception], ...]
    min_part_size: int  # bytes, of all parts of a file except the last

    def url(self, name: str | None) -> str: ...
    def sign_urls(self, key: str, names: Sequence[str]) -> list[str]: ...
    def sign_download(self, path: str, filename: str, expires: int) -> str: ...
    def put(self, path: str, file: IO[bytes], content_type: str) -> None: ...
    def get(self, path: str) -> AbstractContextManager[IO[bytes]]: ...
    def read_start(self, path: str, size: int) -> bytes: ...
    def file_size(self, path: str) -> int | None: ...
    def copy_file(self, source: str, target: str) -> None: ...
    def remove(self, paths: Sequence[str]) -> None: ...
    def begin_parts(self, path: str) -> str: ...
    def put_part(self, path: str, upload_id: str, number: int, file: IO[bytes]) -> Part: ...
    def complete_parts(self, path: str, upload_id: str, parts: Sequence[Part]) -> None: ...
    def abort_parts(self, path: str, upload_id: str) -> None: ...
    def upload_form(self, path: str, content_type: str, size: int) -> Upload: ...
    def purge(self, keys: Sequence[str]) -> None: ...
    def purge_files(self, paths: Sequence[str]) -> None: ...


def link_expiry(key: str) -> int:
    """Return the expiry of a URL signed now, as a Unix time: MEDIA_URL_TTL to twice that many seconds from now.

    It stays the same for MEDIA_URL_TTL seconds in every process, so that browsers find the picture in their cache. Each
    key changes at its own time; otherwise all pictures would be signed and fetched again in the same second.
    """
    ttl: int = settings.MEDIA_URL_TTL
    phase = zlib.crc32(key.encode()) % ttl
    return ((int(time.time()) - phase) // ttl + 2) * ttl + phase


@contextmanager
def default_backend() -> Iterator[Backend]:
    """Provide the configured backend and turn its failures into StorageError."""
    backend = cast(Backend, default_storage)
    try:
        yield backend
    except backend.failures as error:
        raise StorageError(f"{type(error).__name__}: {error}") from error
