"""Files in cached cards: a card outlives a signature, so signatures are put in when a card is read.

A private file stands in a card as a raw byte \\x01 and its path, inside the JSON string. JSON escapes that byte
wherever it stands in a text, so nobody can write a caption that is taken for a file and gets signed: which is
why a reference is not a text, and only `encode_with_placeholders` turns it into one.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from media.storage.paths import KEY, NAME

_MARKER = b"\x01"
_MARKED_PATH = re.compile(rf"\x01private/({KEY})/({NAME})".encode())

Signer = Callable[[str, list[str]], list[str]]


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A private file, as a value in what `encode_with_placeholders` is given."""

    path: str


def encode_with_placeholders(card: Any) -> bytes:
    """Compact JSON, in which `PrivateFile` files are marked for `sign_placeholders`."""
    # Drawn after all texts were written, so none of them holds it.
    token = secrets.token_hex(16)

    def default(value: object) -> str:
        if isinstance(value, PrivateFile):
            return token + value.path
        raise TypeError(f"{type(value).__name__} is no JSON")

    text = json.dumps(card, ensure_ascii=False, separators=(",", ":"), default=default)
    return text.encode().replace(token.encode(), _MARKER)


def sign_placeholders(card: bytes, sign: Signer) -> bytes:
    """Each marked file as what `sign(key, names)` gives for it, called once a key."""
    if _MARKER not in card:
        return card
    names: defaultdict[bytes, dict[bytes, None]] = defaultdict(dict)
    for key, name in _MARKED_PATH.findall(card):
        names[key][name] = None
    urls: dict[tuple[bytes, bytes], bytes] = {}
    for key, wanted in names.items():
        signed = sign(key.decode(), [name.decode() for name in wanted])
        urls.update({(key, name): url.encode() for name, url in zip(wanted, signed, strict=True)})
    return _MARKED_PATH.sub(lambda match: urls[match[1], match[2]], card)
