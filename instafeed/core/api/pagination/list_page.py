"""Answer a request for a page of a list that is ordered by one id and filtered while it is read."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from instafeed.core.api.pagination.cursors import (
    decode_cursor,
    encode_cursor,
    page_response,
    parse_limit,
    raw_cursor,
)
from instafeed.core.api.pagination.filtered import FetchKeys, RenderVisible, fetch_filtered_page


def filtered_page_response(
    request: Request, kind: str, fetch_keys: FetchKeys[int], render_visible: RenderVisible[int]
) -> HttpResponse:
    """Return the requested page of the list `kind`, whose cursors hold one id (see `fetch_filtered_page`)."""
    limit, raw = parse_limit(request), raw_cursor(request)
    before = decode_cursor(kind, raw)[0] if raw is not None else None
    rows, last_id = fetch_filtered_page(fetch_keys, render_visible, before, limit)
    return page_response(request, rows, None if last_id is None else encode_cursor(kind, last_id))
