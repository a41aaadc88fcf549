"""Pages of lists, as the API returns them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

LAST_PAGE: dict[str, Any] = {"next": None, "next_cursor": None, "previous": None}
EMPTY_PAGE: dict[str, Any] = {"results": [], **LAST_PAGE}


def assert_is_page(body: dict[str, Any]) -> None:
    """Assert that `body` is a page, and that `next` and `next_cursor` agree."""
    assert set(body) == {"results", *LAST_PAGE}
    assert body["previous"] is None
    query = parse_qs(urlsplit(body["next"] or "").query)
    assert query.get("cursor") == (None if body["next_cursor"] is None else [body["next_cursor"]])
