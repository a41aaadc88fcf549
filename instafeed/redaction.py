"""Blanking secrets in whatever leaves the process as text: log lines and error reports.

By the names of keys and by patterns, as secrets come in tracebacks and in other libraries' messages too: tokens,
passwords in URLs and connection strings, signed URLs' queries, cookies. It rather takes too much. Each pattern's
repetitions are bounded or cannot overlap, so a long line costs time in proportion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BLANK = "[redacted]"
DEEPEST = 12  # levels of nested values
LONGEST = 50_000  # characters of one text

_NAMES = (
    r"passw(?:or)?d|passphrase|secret|token|refresh|access|signature|credential|policy|authorization|cookie|"
    r"api_?key|private_?key|session_?id|sessionid|csrf|otp"
)
_SECRET_KEY = re.compile(_NAMES, re.IGNORECASE)

_QUOTED = r"""(?:b?"(?:[^"\\]|\\.)*"?|b?'(?:[^'\\]|\\.)*'?)"""  # one that was cut has no end
_BARE = r"""[^\s&;,"'<>()\[\]{}]+"""
# name=value · name: value · name = "value" (else it is a line of source) · "name": value · ["name"] = value
_SEPARATED = rf"""(?:=(?:{_QUOTED}|{_BARE})|:[ ]{{1,3}}(?:{_QUOTED}|{_BARE})|[ ]=[ ]{_QUOTED})"""
_AFTER_QUOTE = rf"""["']\]?[ ]?[:=][ ]?(?:{_QUOTED}|{_BARE})"""
_NAME = rf"(?<![A-Za-z0-9_])([A-Za-z0-9_-]{{0,40}}?(?:{_NAMES})[A-Za-z0-9_-]{{0,40}})"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # Cookie: a=b; c=d, to the end of the line or of the quoted text
        (r"""\b((?:set-)?cookie["']?[ ]?[:=][ ]?["']?)[^"'\r\n]+""", rf"\1{BLANK}"),
        # Authorization: Scheme value
        (r"""\b(authorization["']?[ ]?[:=][ ]?["']?)(?:[a-z0-9-]{1,20}[ ]{1,3})?[^\s"',;]+""", rf"\1{BLANK}"),
        (r"\b(bearer|basic)[ ]{1,3}[a-z0-9._~+/=-]{6,}", rf"\1 {BLANK}"),
        # A JWT, or the beginning of one
        (r"\beyJ[a-z0-9_-]{6,}(?:\.[a-z0-9_-]*){0,4}", BLANK),
        # scheme://user:password@
        (r"\b([a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']{0,256}):[^\s\"']{1,512}@", rf"\1:{BLANK}@"),
        (rf"{_NAME}{_SEPARATED}", rf"\1={BLANK}"),
        (rf"{_NAME}{_AFTER_QUOTE}", rf"\1: {BLANK}"),
    )
)


def redact(value: Any, depth: int = 0) -> Any:
    """A copy of `value` (texts, numbers, and mappings and sequences of these) without secrets."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode(errors="replace"))
    if depth >= DEEPEST:
        return BLANK if isinstance(value, Mapping | list | tuple) else value
    if isinstance(value, Mapping):
        return {key: _field(str(key), item, depth) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, depth + 1) for item in value]
    return value


def redact_text(text: str) -> str:
    """At most LONGEST characters; cut between words, as half a secret fits no pattern."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST].rsplit(None, 1)[0]} [cut]"
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def is_secret(name: str) -> bool:
    """Whether a field of that name is blanked, whatever it holds."""
    return _SECRET_KEY.search(name) is not None


def _field(name: str, value: Any, depth: int) -> Any:
    if is_secret(name) and isinstance(value, str | bytes) and value:
        return BLANK
    return redact(value, depth + 1)
