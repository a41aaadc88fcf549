"""The layout of the storage: paths, their kinds, and how their files may be cached.

    public/<key>/<name>   variants of public pictures, with permanent URLs
    avatars/<key>.<type>  avatars, also public
    private/<key>/<name>  variants of private pictures, only with signed URLs that expire
    incoming/<key>        originals as uploaded, without any URL
    exports/<key>.zip     users' exports, only as downloads with signed URLs that expire
    exports/<key>.part    what an unfinished export keeps for its next part, without any URL

A public file can be fetched by anyone who knows its key. So keys are random (192 bits) and never reused: a picture
that turns private gets a new one.
"""

from __future__ import annotations

import re
import secrets
from typing import Literal, cast

from django.conf import settings

Kind = Literal["public", "avatars", "private", "incoming", "exports"]

KEY = r"[A-Za-z0-9_-]{22,64}"
_CONTENT_TYPES = {"webp": "image/webp", "jpg": "image/jpeg", "jpeg": "image/jpeg"}
_ARCHIVE_CONTENT_TYPES = {"zip": "application/zip", "part": "application/octet-stream"}
_EXTENSION = f"(?:{'|'.join(_CONTENT_TYPES)})"
# No character with a meaning in URLs, JSON, shells or file systems, and a single dot.
NAME = rf"[A-Za-z0-9_-]{{1,64}}\.{_EXTENSION}"
_PATH = re.compile(
    rf"(?P<several>public|private)/{KEY}/{NAME}|(?P<single>avatars)/{KEY}\.{_EXTENSION}|(?P<original>incoming)/{KEY}"
    rf"|(?P<archive>exports)/{KEY}\.(?:{'|'.join(_ARCHIVE_CONTENT_TYPES)})"
)


def new_key() -> str:
    """Return a random key of 32 characters."""
    return secrets.token_urlsafe(24)


def variants_directory(key: str, *, is_public: bool) -> str:
    """Return the directory of a picture's variants."""
    return f"{'public' if is_public else 'private'}/{key}"


def new_incoming_path() -> str:
    """Return a new path for an original."""
    return f"incoming/{new_key()}"


def new_export_path(extension: Literal["zip", "part"]) -> str:
    """Return a new path for an export, or for what an unfinished one keeps."""
    return f"exports/{new_key()}.{extension}"


def kind_of(path: str) -> Kind:
    """Return the first directory of a path. Raises ValueError for a path outside the layout."""
    match = _PATH.fullmatch(path)
    if not match:
        raise ValueError(f"not a path of the layout: {path!r}")
    return cast(Kind, match["several"] or match["single"] or match["original"] or match["archive"])


def content_type_of(path: str) -> str:
    """Return the content type by the name's extension, never by what a client declared. Raises ValueError."""
    try:
        return (_CONTENT_TYPES | _ARCHIVE_CONTENT_TYPES)[path.rpartition(".")[2]]
    except KeyError:
        raise ValueError(f"not the name of a picture or an export: {path!r}") from None


def cache_control_of(path: str) -> str:
    """Return the Cache-Control header. Public files never change; private ones may be cached by browsers only."""
    match kind_of(path):
        case "public" | "avatars":
            return "public, max-age=31536000, immutable"
        case "private":
            return f"private, max-age={settings.MEDIA_URL_TTL}"
        case "incoming":
            return "no-store"
        case "exports":
            return "private, no-store"
