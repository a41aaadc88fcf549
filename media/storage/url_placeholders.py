"""Placeholders for signed URLs in cached JSON. A cached post outlives a signature, so URLs are signed on each read.

A placeholder is the raw byte \\x01 and a private file's path inside a JSON string. JSON escapes this byte in texts, so
no caption can be mistaken for a placeholder and get signed. For the same reason a private file is a value of its own
type and not a string: only `encode_with_placeholders` writes placeholders.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from instafeed.core import compact_json
from media.storage.paths import KEY, NAME

_MARKER = b"\x01"
_MARKED_PATH = re.compile(rf"\x01private/({KEY})/({NAME})".encode())

Signer = Callable[[str, list[str]], list[str]]


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A private file as a value for `encode_with_placeholders`."""

    path: str


def encode_with_placeholders(value: Any) -> bytes:
    """Encode a value as compact JSON, with placeholders for `PrivateFile` values."""
    # Random and drawn after all texts were written, so no text contains it.
    token = secrets.token_hex(16)

    def default(item: object) -> str:
        if isinstance(item, PrivateFile):
            return token + item.path
        raise TypeError(f"{type(item).__name__} is not JSON serializable")

    return compact_json.encode(value, default).replace(token.encode(), _MARKER)


def sign_placeholders(encoded: bytes, sign: Signer) -> bytes:
    """Replace each placeholder with the URL from `sign(key, names)`, which is called once per key."""
    if _MARKER not in encoded:
        return encoded
    names: defaultdict[bytes, dict[bytes, None]] = defaultdict(dict)
    for key, name in _MARKED_PATH.findall(encoded):
        names[key][name] = None
    urls: dict[tuple[bytes, bytes], bytes] = {}
    for key, wanted in names.items():
        signed = sign(key.decode(), [name.decode() for name in wanted])
        urls.update({(key, name): url.encode() for name, url in zip(wanted, signed, strict=True)})
    return _MARKED_PATH.sub(lambda match: urls[match[1], match[2]], encoded)
