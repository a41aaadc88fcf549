"""The project's URLs and the yardstick's views, which show the minimum cost of a page under the same server."""

from __future__ import annotations

import json
import os

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from media.models import Media
from posts.models import Post, PostMedia

PAGE = 20  # posts


def bare_page(request: HttpRequest, viewer_id: int) -> HttpResponse:
    """Return cached posts with one LRANGE and one MGET, without authentication and visibility checks."""
    client = get_client()
    ids: list[bytes] = client.lrange(keys.home_timeline(viewer_id), 0, PAGE - 1)  # type: ignore[assignment]
    cards: list[bytes] = client.mget([keys.post_card(int(post_id)) for post_id in ids])  # type: ignore[assignment]
    return _plain(b"[%b]" % b",".join(cards), "application/json")


def bare_post(request: HttpRequest, author_id: int, media_id: int) -> HttpResponse:
    """Store a post with a picture in one transaction: no authentication, fan-out, hashtags, mentions or counts."""
    caption = json.loads(request.body)["caption"]
    with transaction.atomic():
        post = Post(author_id=author_id, caption=caption)
        post.save_base(raw=True)  # without the receivers that enqueue the fan-out
        PostMedia.objects.create(post=post, position=0, media_id=media_id)
        Media.objects.filter(pk=media_id).update(is_attached=True)
    return _plain(json.dumps({"id": str(post.pk), "caption": caption}).encode(), "application/json")


def worker(request: HttpRequest) -> HttpResponse:
    """Return the process id of the worker that answers."""
    return _plain(str(os.getpid()).encode(), "text/plain")


def _plain(body: bytes, content_type: str) -> HttpResponse:
    # Set here because the bare application has no middleware that sets it.
    return HttpResponse(body, content_type=content_type, headers={"Content-Length": str(len(body))})


urlpatterns = [
    path("yardstick/<int:viewer_id>", bare_page),
    path("yardstick/post/<int:author_id>/<int:media_id>", bare_post),
    path("yardstick/worker", worker),
    path("", include("instafeed.urls")),
]
