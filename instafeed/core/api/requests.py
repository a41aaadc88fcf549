"""The ids in a request's path."""

from __future__ import annotations

from django.http import Http404

from instafeed.core.db.snowflake import parse_id


def id_or_404(raw: str) -> int:
    """Parse an id from a path. Raises Http404 for a text that cannot be an id."""
    id_ = parse_id(raw)
    if id_ is None:
        raise Http404
    return id_
