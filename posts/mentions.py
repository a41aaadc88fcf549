"""From the names in a text to accounts that can be told of it."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import DEFAULT_DB_ALIAS

from accounts.models import User
from posts import text
from posts.models import Post
from social.notifications import Event

TOLD = 20  # mentions in one text that are told of; more is spam


def mentioned(content: str) -> list[int]:
    """Ids of the active accounts among the first `TOLD` that are mentioned; at most one query."""
    names = text.mentions(content)[:TOLD]
    if not names:
        return []
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(username__in=names, is_active=True)
    return list(users.values_list("pk", flat=True))


def events(post: Post, user_ids: Iterable[int]) -> list[Event]:
    """What tells these users that the post mentions them."""
    return [Event("mention", user_id, post.author_id, post.pk) for user_id in user_ids]
