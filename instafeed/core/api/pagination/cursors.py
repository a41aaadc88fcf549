"""Lists by keyset: a page begins after the last row of the one before, wherever that row is now.

A cursor holds that row's key, so pages neither repeat nor skip what arrives or vanishes in between, and
deep pages cost what the first one costs: no OFFSET, no COUNT. Cursors are opaque to clients and carry
the kind of their list, so that one list refuses another's.

    LIKERS = Keyset("likers", ("user_id",))

    rows, cursor = LIKERS.page(request, Like.objects.filter(post_id=post_id))
    return page_response(request, [render(row) for row in rows], cursor)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import HttpResponse
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_HEX_INTEGER = re.compile(r"[0-7][0-9a-f]{15}")  # 63 bits: what PostgreSQL's bigint can be compared with
_HEX_TEXT = re.compile(r"(?:[0-9a-f]{2}){0,1000}")
_RowT = TypeVar("_RowT", bound=Model)


def parse_limit(request: Request) -> int:
    """`?limit=`, at most MAX_LIMIT however much is asked. ValidationError if it is no positive number."""
    raw = request.query_params.get("limit")
    if raw is None:
        return DEFAULT_LIMIT
    digits = raw.lstrip("0")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValidationError({"limit": [ErrorDetail("Must be a whole number from 1 to 100.", "invalid")]})
    return MAX_LIMIT if len(digits) > 3 else min(int(digits), MAX_LIMIT)


def encode_cursor(kind: str, *key: int) -> str:
    """An opaque, URL-safe text for a key of integers from 0 to 2**63 - 1: the kind and 16 hex digits each."""
    return ".".join([kind, *(f"{part:016x}" for part in key)])


def decode_cursor(kind: str, raw: str, length: int = 1) -> tuple[int, ...]:
    """The key that `encode_cursor(kind, …)` was given; a ValidationError `invalid_cursor` for all else.

    Every text of the right form is a cursor, so that the API's description can say what one looks like.
    """
    found, *parts = raw.split(".")
    if found != kind or len(parts) != length or not all(map(_HEX_INTEGER.fullmatch, parts)):
        raise invalid_cursor()
    return tuple(int(part, 16) for part in parts)


def encode_text_cursor(kind: str, text: str) -> str:
    """The same for a list that is ordered by a text: the kind and its UTF-8 in hexadecimal."""
    return f"{kind}.{text.encode().hex()}"


def decode_text_cursor(kind: str, raw: str) -> str:
    """The text that `encode_text_cursor(kind, …)` was given; a ValidationError `invalid_cursor` for all else.

    What a client made up may decode to replacement characters, never to NUL: safe to compare with.
    """
    found, dot, digits = raw.partition(".")
    if found != kind or not dot or not _HEX_TEXT.fullmatch(digits):
        raise invalid_cursor()
    return bytes.fromhex(digits).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def invalid_cursor() -> ValidationError:
    return ValidationError({"cursor": [ErrorDetail("Not a cursor of this list.", "invalid_cursor")]})


def raw_cursor(request: Request) -> str | None:
    return request.query_params.get("cursor")


@dataclass(frozen=True)
class Keyset:
    """The order of a list: unique together, integer `fields` of its rows, all in one direction.

    `kind` names the list in its cursors. An index on `fields`, after whatever the queryset filters by,
    should serve it.
    """

    kind: str
    fields: tuple[str, ...] = ("id",)
    descending: bool = True

    def page(self, request: Request, queryset: QuerySet[_RowT]) -> tuple[list[_RowT], str | None]:
        """The rows of the page that the request asks for, and the cursor of the next; None at the end."""
        limit = parse_limit(request)
        raw = raw_cursor(request)
        if raw is not None:
            queryset = queryset.filter(self._beyond(decode_cursor(self.kind, raw, len(self.fields))))
        sign = "-" if self.descending else ""
        # One row more than asked tells whether there is a next page.
        rows = list(queryset.order_by(*(f"{sign}{field}" for field in self.fields))[: limit + 1])
        if len(rows) <= limit:
            return rows, None
        return rows[:limit], encode_cursor(self.kind, *self._key(rows[limit - 1]))

    def _beyond(self, key: Sequence[int]) -> Q:
        """(a, b) < (x, y), as a <= x AND (a < x OR b < y): the first half is what an index scan begins at."""
        operator = "lt" if self.descending else "gt"
        beyond = Q(**{f"{self.fields[-1]}__{operator}": key[-1]})
        for field, part in list(zip(self.fields, key, strict=True))[-2::-1]:
            beyond = Q(**{f"{field}__{operator}e": part}) & (Q(**{f"{field}__{operator}": part}) | beyond)
        return beyond

    def _key(self, row: Any) -> tuple[int, ...]:
        if isinstance(row, dict):
            return tuple(row[field] for field in self.fields)
        return tuple(getattr(row, field) for field in self.fields)


def next_url(request: Request, next_cursor: str | None) -> str | None:
    if next_cursor is None:
        return None
    return replace_query_param(request.build_absolute_uri(), "cursor", next_cursor)


def page_response(request: Request, results: Sequence[Any], next_cursor: str | None) -> Response:
    """A page of rendered rows."""
    return Response({"results": results, "next": next_url(request, next_cursor), "previous": None})


def raw_page_response(request: Request, results: Iterable[bytes], next_cursor: str | None) -> HttpResponse:
    """The same for rows that already are JSON bytes: they are pasted, not decoded and encoded again."""
    url = json.dumps(next_url(request, next_cursor)).encode()
    body = b'{"results":[%b],"next":%b,"previous":null}' % (b",".join(results), url)
    return HttpResponse(body, content_type="application/json")
