"""The one way from a request to a page of a list that is walked by one id and filtered as it is read."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from instafeed.api.pagination import decode_cursor, encode_cursor, parse_limit, raw_cursor, raw_page_response
from instafeed.refill import Fetch, Show, filled_page


def page(request: Request, kind: str, fetch: Fetch[int], show: Show[int]) -> HttpResponse:
    """The page that the request asks for of the list `kind`, whose cursor is one id (see `filled_page`)."""
    limit, raw = parse_limit(request), raw_cursor(request)
    before = decode_cursor(kind, raw)[0] if raw is not None else None
    rows, after = filled_page(fetch, show, before, limit)
    return raw_page_response(request, rows, None if after is None else encode_cursor(kind, after))
