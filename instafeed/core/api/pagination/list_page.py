"""The one way from a request to a page of a list that is walked by one id and filtered as it is read."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from instafeed.core.api.pagination.cursors import (
    decode_cursor,
    encode_cursor,
    parse_limit,
    raw_cursor,
    raw_page_response,
)
from instafeed.core.api.pagination.filtered import FetchKeys, RenderVisible, fetch_filtered_page


def filtered_page_response(
    request: Request, kind: str, fetch: FetchKeys[int], show: RenderVisible[int]
) -> HttpResponse:
    """The page that the request asks for of the list `kind`, whose cursor is one id (see `fetch_filtered_page`)."""
    limit, raw = parse_limit(request), raw_cursor(request)
    before = decode_cursor(kind, raw)[0] if raw is not None else None
    rows, after = fetch_filtered_page(fetch, show, before, limit)
    return raw_page_response(request, rows, None if after is None else encode_cursor(kind, after))
