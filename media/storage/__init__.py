"""Where the files of pictures lie, and by which URLs clients get them.

The one way to files for tasks and services: S3 and CloudFront where AWS_STORAGE_BUCKET_NAME is set, a directory
otherwise (settings.STORAGES; `paths` has the layout, docs/media.md the promises). Paths outside the layout
raise ValueError. StorageError is all that comes of a storage that is away or refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import IO, cast

from django.core.files.storage import default_storage

from instafeed.core.api.links import absolute_url
from media.storage import url_placeholders
from media.storage.backend import Backend, FileMissing, StorageError, Upload
from media.storage.paths import kind_of, new_incoming_path, new_key, variants_directory
from media.storage.url_placeholders import PrivateFile, encode_with_placeholders

__all__ = [
    "FileMissing",
    "PrivateFile",
    "StorageError",
    "Upload",
    "copy",
    "delete",
    "direct_upload",
    "encode_with_placeholders",
    "new_incoming_path",
    "new_key",
    "open",
    "purge",
    "purge_files",
    "save",
    "sign_placeholders",
    "signed_urls",
    "size",
    "url",
    "url_or_placeholder",
    "variants_directory",
]


def url(path: str) -> str:
    """A public file's permanent URL; a private one's signed now. ValueError for an original."""
    if kind_of(path) == "incoming":
        raise ValueError("originals have no URL")
    with _translate_errors() as backend:
        return absolute_url(backend.url(path))


def signed_urls(key: str, names: Sequence[str]) -> list[str]:
    """URLs of private/<key>/<name>, valid for MEDIA_URL_TTL seconds at least and twice that at most."""
    for name in names:
        kind_of(f"private/{key}/{name}")
    with _translate_errors() as backend:
        return [absolute_url(signed) for signed in backend.signed(key, names)]


def url_or_placeholder(path: str) -> str | PrivateFile:
    """What a card holds for a file: its permanent URL, or what `encode_with_placeholders` marks for `sign_placeholders`."""
    return PrivateFile(path) if kind_of(path) == "private" else url(path)


def sign_placeholders(card: bytes) -> bytes:
    """A card made by `encode_with_placeholders`, with private files' URLs as of now; the same object if there are none."""
    return url_placeholders.sign_placeholders(card, signed_urls)


def save(path: str, file: IO[bytes], content_type: str) -> None:
    """Streamed, the whole of a seekable file; takes the place of what is there, all at once."""
    kind_of(path)
    file.seek(0)
    with _translate_errors() as backend:
        backend.put(path, file, content_type)


def open(path: str) -> AbstractContextManager[IO[bytes]]:
    """The file, seekable. FileMissing, or StorageError, on entering; from then on the file is a local one."""
    kind_of(path)
    return _open_file(path)


def size(path: str) -> int | None:
    """Bytes; None if there is no such file."""
    kind_of(path)
    with _translate_errors() as backend:
        return backend.length(path)


def copy(source: str, target: str) -> None:
    """Within the storage; the copy is cached as its own place demands. FileMissing if there is no source.

    The target is a variant or an avatar, as an original is only ever uploaded.
    """
    kind_of(source)
    if kind_of(target) == "incoming":
        raise ValueError("originals are not copied to")
    with _translate_errors() as backend:
        backend.duplicate(source, target)


def delete(paths: Iterable[str]) -> None:
    """All of them; those that are not there are no error."""
    wanted = list(dict.fromkeys(paths))
    for path in wanted:
        kind_of(path)
    with _translate_errors() as backend:
        backend.remove(wanted)


def direct_upload(path: str, content_type: str, size: int) -> Upload:
    """A form by which a client brings one original itself: this path, this type, exactly `size` bytes, soon."""
    if kind_of(path) != "incoming":
        raise ValueError("only originals are uploaded")
    with _translate_errors() as backend:
        form = backend.form(path, content_type, size)
    return Upload(form.method, absolute_url(form.url), form.fields)


def purge(keys: Sequence[str]) -> None:
    """Asks the CDN to forget public/<key>/*: done within a minute or so. Without a CDN of ours, nothing."""
    for key in keys:
        kind_of(f"public/{key}/any.webp")
    if keys:
        with _translate_errors() as backend:
            backend.purge(keys)


def purge_files(paths: Sequence[str]) -> None:
    """The same for single public files, that is avatars."""
    for path in paths:
        kind_of(path)
    if paths:
        with _translate_errors() as backend:
            backend.purge_files(paths)


@contextmanager
def _translate_errors() -> Iterator[Backend]:
    """The backend; what it raises when it fails becomes StorageError."""
    backend = cast(Backend, default_storage)
    try:
        yield backend
    except backend.failures as error:
        raise StorageError(f"{type(error).__name__}: {error}") from error


@contextmanager
def _open_file(path: str) -> Iterator[IO[bytes]]:
    """Only the opening is translated: what goes wrong inside the caller's block is the caller's."""
    with ExitStack() as stack:
        with _translate_errors() as backend:
            file = stack.enter_context(backend.get(path))
        yield file
