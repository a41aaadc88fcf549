"""What the views of posts share: ids in paths, JSON that is ready, pages of posts."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from rest_framework.request import Request

from instafeed.api.pagination import decode_cursor, encode_cursor, parse_limit, raw_cursor, raw_page_response
from instafeed.ids import parse_id
from instafeed.refill import Fetch, Show, filled_page


def json_response(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(body, content_type="application/json", status=status)


def id_or_404(raw: str) -> int:
    """An id in a path; Http404 for whatever cannot be one."""
    id_ = parse_id(raw)
    if id_ is None:
        raise Http404
    return id_


def page(request: Request, kind: str, fetch: Fetch, show: Show) -> HttpResponse:
    """The page that the request asks for of the list `kind`, whose cursor is one id."""
    limit, raw = parse_limit(request), raw_cursor(request)
    before = decode_cursor(kind, raw)[0] if raw is not None else None
    rows, after = filled_page(fetch, show, before, limit)
    return raw_page_response(request, rows, None if after is None else encode_cursor(kind, after))
