"""Cursors and pages of keyset pagination: a page begins after the key of the previous page's last row.

A cursor holds that key, so pages neither repeat nor skip rows that are added or removed in between, and a deep page
costs as much as the first. Cursors are opaque to clients and carry the kind of their list, so one list rejects another
list's cursor. `instafeed.core.db.keyset` has the queries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from django.http import HttpResponse
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_HEX_INTEGER = re.compile(r"[0-7][0-9a-f]{15}")  # 63 bits: the range of PostgreSQL's bigint
_HEX_TEXT = re.compile(r"(?:[0-9a-f]{2}){0,1000}")


def parse_limit(request: Request) -> int:
    """Return `?limit=`, capped at MAX_LIMIT. Raises ValidationError if it is not a positive integer."""
    raw = request.query_params.get("limit")
    if raw is None:
        return DEFAULT_LIMIT
    digits = raw.lstrip("0")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValidationError({"limit": [ErrorDetail("Must be a whole number from 1 to 100.", "invalid")]})
    return MAX_LIMIT if len(digits) > 3 else min(int(digits), MAX_LIMIT)


def encode_cursor(kind: str, *key: int) -> str:
    """Encode a key of integers from 0 to 2**63 - 1 as URL-safe text: the kind, then 16 hex digits for each."""
    return ".".join([kind, *(f"{part:016x}" for part in key)])


def decode_cursor(kind: str, raw: str, length: int = 1) -> tuple[int, ...]:
    """Decode a cursor of `encode_cursor(kind, …)`. Raises ValidationError `invalid_cursor` for any other text.

    Every text of the right form is a valid cursor, so the OpenAPI document can describe cursors by a pattern.
    """
    found, *parts = raw.split(".")
    if found != kind or len(parts) != length or not all(map(_HEX_INTEGER.fullmatch, parts)):
        raise invalid_cursor()
    return tuple(int(part, 16) for part in parts)


def encode_text_cursor(kind: str, text: str) -> str:
    """Encode a text key: the kind, then the text's UTF-8 in hexadecimal."""
    return f"{kind}.{text.encode().hex()}"


def decode_text_cursor(kind: str, raw: str) -> str:
    """Decode a cursor of `encode_text_cursor(kind, …)`. Raises ValidationError `invalid_cursor` for any other text.

    A forged cursor may decode to replacement characters, but never to NUL, so the text is safe in SQL.
    """
    found, dot, digits = raw.partition(".")
    if found != kind or not dot or not _HEX_TEXT.fullmatch(digits):
        raise invalid_cursor()
    return bytes.fromhex(digits).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def invalid_cursor() -> ValidationError:
    return ValidationError({"cursor": [ErrorDetail("Not a cursor of this list.", "invalid_cursor")]})


def raw_cursor(request: Request) -> str | None:
    return request.query_params.get("cursor")


def next_url(request: Request, next_cursor: str | None) -> str | None:
    if next_cursor is None:
        return None
    return replace_query_param(request.build_absolute_uri(), "cursor", next_cursor)


def page_response(request: Request, results: Iterable[bytes], next_cursor: str | None) -> HttpResponse:
    """Return a page of rows that are JSON already: the bytes are concatenated, not decoded and encoded again."""
    links = (json.dumps(next_url(request, next_cursor)).encode(), json.dumps(next_cursor).encode())
    body = b'{"results":[%b],"next":%b,"next_cursor":%b,"previous":null}' % (b",".join(results), *links)
    return HttpResponse(body, content_type="application/json")
