"""What a storage must be able to do beyond Django's own, and what it answers with."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Protocol

from django.conf import settings

from instafeed.core.exceptions import DependencyUnavailable

UPLOAD_TTL = 900  # seconds in which a direct upload must begin


class StorageError(DependencyUnavailable):
    """The storage is away, or refuses."""


class FileMissing(StorageError):
    """The storage answers, and has no such file."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A request that a client makes to bring a file: a multipart form of `fields`, then the field `file`, last."""

    method: str
    url: str
    fields: dict[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """A Django storage that knows the layout. Paths are checked by the caller; `failures` is all that it raises
    when it is away or refuses, beside FileMissing."""

    failures: tuple[type[Exception], ...]

    def url(self, name: str | None) -> str: ...
    def signed(self, key: str, names: Sequence[str]) -> list[str]: ...
    def put(self, path: str, file: IO[bytes], content_type: str) -> None: ...
    def get(self, path: str) -> AbstractContextManager[IO[bytes]]: ...
    def length(self, path: str) -> int | None: ...
    def duplicate(self, source: str, target: str) -> None: ...
    def remove(self, paths: Sequence[str]) -> None: ...
    def form(self, path: str, content_type: str, size: int) -> Upload: ...
    def purge(self, keys: Sequence[str]) -> None: ...
    def purge_files(self, paths: Sequence[str]) -> None: ...


def link_expiry(key: str) -> int:
    """When a URL signed now ends, as a Unix time: between MEDIA_URL_TTL and twice that from now.

    The same for MEDIA_URL_TTL seconds, in every process, so that browsers find the picture in their cache. Each
    key turns at its own time: at a common one, every picture would be signed and fetched anew in one second.
    """
    ttl: int = settings.MEDIA_URL_TTL
    phase = zlib.crc32(key.encode()) % ttl
    return ((int(time.time()) - phase) // ttl + 2) * ttl + phase
