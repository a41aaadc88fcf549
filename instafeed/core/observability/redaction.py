"""Remove secrets from all text that leaves the process: log lines and error reports.

Secrets are found by the names of keys and by patterns, as tracebacks and other libraries' messages contain them too:
tokens, passwords in URLs and connection strings, query strings of signed URLs, cookies. When in doubt, text is removed.
All repetitions in the patterns are bounded or cannot overlap, so the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

REDACTED = "[redacted]"
MAX_DEPTH = 12  # levels of nested values
MAX_TEXT_LENGTH = 50_000  # characters

_SENSITIVE_NAMES = (
    r"passw(?:or)?d|pwd|passphrase|secret|token|refresh|access|signature|credential|policy|authorization|cookie|"
    r"api_?key|private_?key|session_?id|sessionid|csrf|otp|recovery_?code"
)
_SENSITIVE_KEY = re.compile(_SENSITIVE_NAMES, re.IGNORECASE)
_KEY_NAME = re.compile(r"[\w.-]{1,60}")
_CONTAINERS = Mapping | list | tuple | Set

# The closing quote or bracket is optional, as a text may be cut off. Possessive quantifiers (*+) prevent backtracking.
_QUOTED = r"""(?:b?"(?:[^"\\]|\\.)*+"?|b?'(?:[^'\\]|\\.)*+'?)"""
_BARE = r"""[^\s&;,"'<>()\[\]{}\\]++"""
_FLAT = rf"""[\[({{](?:[^\[\](){{}}"']|{_QUOTED})*+[\])}}]?"""
_NESTED = rf"""[\[({{](?:[^\[\](){{}}"']|{_QUOTED}|{_FLAT})*+[\])}}]?"""
_VALUE = rf"(?:{_QUOTED}|{_BARE}(?:{_FLAT})?|{_NESTED})"
# name=value · name: value · name = "value" (unquoted it would match source code)
_SEPARATED = rf"(?:={_VALUE}|:[ ]{{1,3}}{_VALUE}|[ ]=[ ]{_QUOTED})"
# "name": value · ["name"] = value · ("name", "value")
_AFTER_QUOTE = rf"""["'](?:\]?[ ]?[:=][ ]?{_VALUE}|,[ ]?{_QUOTED})"""
# JSON within JSON: \"name\": \"value\", up to a quote with the same number of backslashes
_WITHIN_JSON = (
    r"""(?P<escape>\\{1,16})["'][ ]?[:,][ ]?"""
    r"""(?:(?P=escape)["'](?:(?!(?<!\\)(?P=escape)["'])[\s\S])*+"""
    r"""|[^\s,"'\[\](){}\\]++|[\[({](?:[^\[\](){}]|[\[({][^\[\](){}]*+[\])}]?)*+[\])}]?)"""
)
_NAME = rf"((?:{_SENSITIVE_NAMES})[A-Za-z0-9_-]{{0,40}})"  # starts at the sensitive word; the text before it is kept
_TAG = rf"(<[a-z0-9_:.-]{{0,40}}?(?:{_SENSITIVE_NAMES})[a-z0-9_:.-]{{0,40}}(?:\s[a-z0-9_:.-]{{1,40}}=[^<>]{{0,200}})?>)"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [a-z0-9 ]{0,40}PRIVATE KEY(?:(?!-----END)[\s\S])*+(?:-----END [a-z0-9 ]{0,60}-----)?", REDACTED),
        # Cookie: a=b; c=d, to the end of the line or of the quoted text
        (r"""\b((?:set-)?cookie["']?[ ]?[:=][ ]?["']?)[^"'\r\n]+""", rf"\1{REDACTED}"),
        # Authorization: Scheme value
        (r"""\b(authorization["']?[ ]?[:=][ ]?["']?)(?:[a-z0-9-]{1,20}[ ]{1,3})?[^\s"',;]+""", rf"\1{REDACTED}"),
        (r"\b(bearer|basic)[ ]{1,3}[a-z0-9._~+/=-]{6,}", rf"\1 {REDACTED}"),
        # A JWT, or the beginning of one
        (r"\beyJ[a-z0-9_-]{6,}(?:\.[a-z0-9_-]*){0,4}", REDACTED),
        # scheme://user:password@
        (r"\b([a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']{0,256}):[^\s\"']{1,512}@", rf"\1:{REDACTED}@"),
        # https://key@, as in a Sentry DSN
        (r"(https?://)[^\s/:@\"'?#]{1,256}@", rf"\1{REDACTED}@"),
        (rf"{_TAG}(?:<!\[CDATA\[)?[^<]+", rf"\1{REDACTED}"),
        (rf"{_NAME}{_SEPARATED}", rf"\1={REDACTED}"),
        (rf"{_NAME}{_AFTER_QUOTE}", rf"\1: {REDACTED}"),
        (rf"{_NAME}{_WITHIN_JSON}", rf"\1: {REDACTED}"),
    )
)


def redact(value: Any, depth: int = 0) -> Any:
    """Return a copy of `value` (text, numbers, and mappings and sequences of these) without secrets."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode(errors="replace"))
    if depth >= MAX_DEPTH:
        return REDACTED if isinstance(value, _CONTAINERS) else value
    if isinstance(value, Mapping):
        return {key: _redact_field(str(key), item, depth) for key, item in value.items()}
    if isinstance(value, list | tuple) and len(value) == 2 and _is_sensitive_key(value[0]):
        return [value[0], _redact_field(str(value[0]), value[1], depth)]
    if isinstance(value, list | tuple | Set):
        return [redact(item, depth + 1) for item in value]
    return value


def redact_text(text: str) -> str:
    """Return at most MAX_TEXT_LENGTH characters, cut between words: no pattern matches half a secret."""
    if len(text) > MAX_TEXT_LENGTH:
        complete = text[:MAX_TEXT_LENGTH].rsplit(None, 1)
        text = f"{complete[0] if complete else ''} [cut]"
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Return whether the value of a field with this name is always redacted."""
    return _SENSITIVE_KEY.search(name) is not None


def _is_sensitive_key(value: Any) -> bool:
    """Return whether the first item of a pair is a sensitive key, not a sentence that contains such a word."""
    return isinstance(value, str) and _KEY_NAME.fullmatch(value) is not None and is_secret_name(value)


def _redact_field(name: str, value: Any, depth: int) -> Any:
    if is_secret_name(name) and isinstance(value, str | bytes | _CONTAINERS) and value:
        return REDACTED
    return redact(value, depth + 1)
