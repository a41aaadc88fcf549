"""The layout of the default storage: what lies under which path, and how it may be cached.

    public/<key>/<name>   variants of pictures that everybody may see
    avatars/<key>.<type>  users' faces, public too
    private/<key>/<name>  variants of pictures that some may see: signed, expiring URLs only
    incoming/<key>        originals as uploaded: no URL at all

Whoever knows a public key can fetch the file, so a key is drawn from 2**192 and never reused: a picture that
turns private moves to a new one.
"""

from __future__ import annotations

import re
import secrets
from typing import Literal, cast

from django.conf import settings

Kind = Literal["public", "avatars", "private", "incoming"]

KEY = r"[A-Za-z0-9_-]{22,64}"
_CONTENT_TYPES = {"webp": "image/webp", "jpg": "image/jpeg", "jpeg": "image/jpeg"}
_EXTENSION = f"(?:{'|'.join(_CONTENT_TYPES)})"
# No character that means anything to a URL, to JSON, to a shell or to a file system; no dot but the last one.
NAME = rf"[A-Za-z0-9_-]{{1,64}}\.{_EXTENSION}"
_PATH = re.compile(
    rf"(?P<several>public|private)/{KEY}/{NAME}|(?P<single>avatars)/{KEY}\.{_EXTENSION}|(?P<original>incoming)/{KEY}"
)


def new_key() -> str:
    """32 characters, unguessable."""
    return secrets.token_urlsafe(24)


def variants_directory(key: str, *, is_public: bool) -> str:
    """Where the variants of a picture lie."""
    return f"{'public' if is_public else 'private'}/{key}"


def new_incoming_path() -> str:
    """For one more original."""
    return f"incoming/{new_key()}"


def kind_of(path: str) -> Kind:
    """The first directory of a path of the layout. Raises ValueError for any other."""
    match = _PATH.fullmatch(path)
    if not match:
        raise ValueError(f"not a path of the layout: {path!r}")
    return cast(Kind, match["several"] or match["single"] or match["original"])


def content_type_of(path: str) -> str:
    """By the name's ending: what a client says, or what was stored, plays no part. Raises ValueError."""
    try:
        return _CONTENT_TYPES[path.rpartition(".")[2]]
    except KeyError:
        raise ValueError(f"no picture's name: {path!r}") from None


def cache_control_of(path: str) -> str:
    """Public files never change, they only go; private ones are for the browser of who holds the URL."""
    match kind_of(path):
        case "public" | "avatars":
            return "public, max-age=31536000, immutable"
        case "private":
            return f"private, max-age={settings.MEDIA_URL_TTL}"
        case "incoming":
            return "no-store"
