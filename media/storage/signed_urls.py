"""URLs of files: public, signed, or left as placeholders in cached JSON; and forms for direct uploads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from instafeed.core.api.formats import absolute_url
from media.storage import url_placeholders
from media.storage.backend import Upload, default_backend
from media.storage.paths import kind_of
from media.storage.url_placeholders import PrivateFile


def url(path: str) -> str:
    """Return the permanent URL of a public file or a signed URL of a private one. ValueError for other files."""
    if kind_of(path) in ("incoming", "exports"):
        raise ValueError("originals and exports have no such URL")
    with default_backend() as backend:
        return absolute_url(backend.url(path))


def signed_urls(key: str, names: Sequence[str]) -> list[str]:
    """Return URLs of private/<key>/<name>, valid for at least MEDIA_URL_TTL seconds and at most twice that."""
    for name in names:
        kind_of(f"private/{key}/{name}")
    with default_backend() as backend:
        return [absolute_url(signed) for signed in backend.sign_urls(key, names)]


def download_url(path: str, filename: str, expires: int) -> str:
    """Return a URL that downloads an export as `filename` until the Unix time `expires`, and no longer.

    `filename`: ASCII letters, digits, dots, hyphens and underscores only.
    """
    if kind_of(path) != "exports":
        raise ValueError("only exports are downloaded")
    if not re.fullmatch(r"[A-Za-z0-9._-]+", filename):
        raise ValueError(f"not a plain file name: {filename!r}")
    with default_backend() as backend:
        return absolute_url(backend.sign_download(path, filename, expires))


def url_or_placeholder(path: str) -> str | PrivateFile:
    """Return a value for cached JSON: a public file's permanent URL, or a placeholder for a private file.

    `encode_with_placeholders` writes it and `sign_placeholders` replaces the placeholder.
    """
    return PrivateFile(path) if kind_of(path) == "private" else url(path)


def sign_placeholders(encoded: bytes) -> bytes:
    """Replace placeholders in JSON made by `encode_with_placeholders` with signed URLs.

    Returns the same object if there are none.
    """
    return url_placeholders.sign_placeholders(encoded, signed_urls)


def direct_upload(path: str, content_type: str, size: int) -> Upload:
    """Return a form with which a client uploads one original: this path, this type, exactly `size` bytes.

    The form expires after `UPLOAD_TTL` seconds.
    """
    if kind_of(path) != "incoming":
        raise ValueError("only originals are uploaded")
    with default_backend() as backend:
        form = backend.upload_form(path, content_type, size)
    return Upload(form.method, absolute_url(form.url), form.fields)
