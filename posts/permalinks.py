"""Links to posts, for people to share. POST_URL says where they lead: a page or a deep link of an app.

Until an app serves them, the default path leads to the post in the API (instafeed/urls.py). Cached posts have no link,
so a new POST_URL works at once.
"""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from instafeed.core import compact_json


def permalink(post_id: int) -> str:
    """Return the link to a post. It is absolute where PUBLIC_URL, SITE_URL or POST_URL is set."""
    template: str = settings.POST_URL
    return template.replace("{id}", str(post_id))


def permalink_json(post_id: int) -> bytes:
    """Return the same as a JSON string."""
    before, after = _encode_parts(settings.POST_URL)
    return b"%b%d%b" % (before, post_id, after)


@lru_cache(1)
def _encode_parts(template: str) -> tuple[bytes, bytes]:
    before, _, after = compact_json.encode(template).partition(b"{id}")
    return before, after
