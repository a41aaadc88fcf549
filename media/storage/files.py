"""Operations on files in the default storage. See the package for the errors that all of them raise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import IO

from media.storage.backend import default_backend
from media.storage.paths import kind_of


def save(path: str, file: IO[bytes], content_type: str) -> None:
    """Stream a whole seekable file to `path`. An existing file is replaced atomically."""
    kind_of(path)
    file.seek(0)
    with default_backend() as backend:
        backend.put(path, file, content_type)


def open(path: str) -> AbstractContextManager[IO[bytes]]:
    """Open a file for reading; it is seekable. Raises FileMissing or StorageError on entering the `with` block only."""
    kind_of(path)
    return _open_file(path)


def read_start(path: str, size: int) -> bytes:
    """Return the first `size` bytes of a file, without transferring the rest. Raises FileMissing."""
    kind_of(path)
    with default_backend() as backend:
        return backend.read_start(path, size)


def size(path: str) -> int | None:
    """Return a file's size in bytes, or None if it does not exist."""
    kind_of(path)
    with default_backend() as backend:
        return backend.file_size(path)


def copy(source: str, target: str) -> None:
    """Copy a variant within the storage, to a path of a variant or an avatar. Raises FileMissing.

    The copy gets the cache headers of its own path.
    """
    kind_of(source)
    if kind_of(target) in ("incoming", "exports"):
        raise ValueError("originals and exports are not copied to")
    with default_backend() as backend:
        backend.copy_file(source, target)


def delete(paths: Iterable[str]) -> None:
    """Delete files. Missing ones are ignored."""
    wanted = list(dict.fromkeys(paths))
    for path in wanted:
        kind_of(path)
    with default_backend() as backend:
        backend.remove(wanted)


def purge(keys: Sequence[str]) -> None:
    """Ask the CDN to drop public/<key>/*, which takes about a minute. Does nothing without a CDN."""
    for key in keys:
        kind_of(f"public/{key}/any.webp")
    if keys:
        with default_backend() as backend:
            backend.purge(keys)


def purge_files(paths: Sequence[str]) -> None:
    """Ask the CDN to drop single public files, such as avatars. Does nothing without a CDN."""
    for path in paths:
        kind_of(path)
    if paths:
        with default_backend() as backend:
            backend.purge_files(paths)


@contextmanager
def _open_file(path: str) -> Iterator[IO[bytes]]:
    """Translate errors of the opening only. Exceptions of the caller's block pass through."""
    with ExitStack() as stack:
        with default_backend() as backend:
            file = stack.enter_context(backend.get(path))
        yield file
