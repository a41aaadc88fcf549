"""The project's URLs, and the views of the yardstick: what a page costs at least under this very server."""

from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client

PAGE = 20  # posts


def bare_page(request: HttpRequest, viewer_id: int) -> HttpResponse:
    """One LRANGE, one MGET, and the bytes as they are: nobody is asked who they are or what they may see."""
    client = get_client()
    ids: list[bytes] = client.lrange(keys.home_timeline(viewer_id), 0, PAGE - 1)  # type: ignore[assignment]
    cards: list[bytes] = client.mget([keys.post_card(int(post_id)) for post_id in ids])  # type: ignore[assignment]
    return _plain(b"[%b]" % b",".join(cards), "application/json")


def worker(request: HttpRequest) -> HttpResponse:
    """Which of the server's processes answers."""
    return _plain(str(os.getpid()).encode(), "text/plain")


def _plain(body: bytes, content_type: str) -> HttpResponse:
    # The length is set here because the bare application has no middleware to do it.
    return HttpResponse(body, content_type=content_type, headers={"Content-Length": str(len(body))})


urlpatterns = [
    path("yardstick/<int:viewer_id>", bare_page),
    path("yardstick/worker", worker),
    path("", include("instafeed.urls")),
]
