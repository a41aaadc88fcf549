"""The project's URLs and the yardstick's views, which show the minimum cost of a page under the same server."""

from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client

PAGE = 20  # posts


def bare_page(request: HttpRequest, viewer_id: int) -> HttpResponse:
    """Return cached posts with one LRANGE and one MGET, without authentication and visibility checks."""
    client = get_client()
    ids: list[bytes] = client.lrange(keys.home_timeline(viewer_id), 0, PAGE - 1)  # type: ignore[assignment]
    cards: list[bytes] = client.mget([keys.post_card(int(post_id)) for post_id in ids])  # type: ignore[assignment]
    return _plain(b"[%b]" % b",".join(cards), "application/json")


def worker(request: HttpRequest) -> HttpResponse:
    """Return the process id of the worker that answers."""
    return _plain(str(os.getpid()).encode(), "text/plain")


def _plain(body: bytes, content_type: str) -> HttpResponse:
    # Set here because the bare application has no middleware that sets it.
    return HttpResponse(body, content_type=content_type, headers={"Content-Length": str(len(body))})


urlpatterns = [
    path("yardstick/<int:viewer_id>", bare_page),
    path("yardstick/worker", worker),
    path("", include("instafeed.urls")),
]
