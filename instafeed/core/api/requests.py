"""Values that views read from a request."""

from __future__ import annotations

from django.http import Http404
from rest_framework.request import Request

from instafeed.core.db.snowflake import parse_id


def viewer_id(request: Request) -> int | None:
    """Return the signed-in user's id; None for an anonymous request."""
    user_id: int | None = request.user.pk
    return user_id


def id_or_404(raw: str) -> int:
    """Parse an id from a path. Raises Http404 for a text that cannot be an id."""
    id_ = parse_id(raw)
    if id_ is None:
        raise Http404
    return id_
