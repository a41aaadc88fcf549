"""What the views of posts share: ids in paths, JSON that is ready."""

from __future__ import annotations

from django.http import Http404, HttpResponse

from instafeed.ids import parse_id


def json_response(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(body, content_type="application/json", status=status)


def id_or_404(raw: str) -> int:
    """An id in a path; Http404 for whatever cannot be one."""
    id_ = parse_id(raw)
    if id_ is None:
        raise Http404
    return id_
