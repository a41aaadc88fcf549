"""Links to posts, for people to share. POST_URL says where they lead: the web client, another page, or a deep link.

Cached posts have no link, so a new POST_URL works at once.
"""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from instafeed.core import compact_json


def permalink(post_id: int) -> str:
    """Return the link to a post. It is absolute where PUBLIC_URL, SITE_URL or POST_URL is set."""
    template: str = settings.POST_URL
    return template.replace("{id}", str(post_id))


def permalink_format() -> bytes:
    """Return the same as a JSON string in which `%d` stands for the post's id."""
    return _encode_format(settings.POST_URL)


@lru_cache(1)
def _encode_format(template: str) -> bytes:
    return compact_json.encode(template).replace(b"%", b"%%").replace(b"{id}", b"%d")
