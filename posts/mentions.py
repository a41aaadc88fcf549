"""Find the accounts that a text mentions, and build their notification events."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import DEFAULT_DB_ALIAS

from accounts.models import User
from posts import entities
from posts.models import Post
from social.notifications import Event

MAX_NOTIFIED_MENTIONS = 20  # per text; more mentions are spam and notify no one


def get_mentioned_user_ids(content: str) -> list[int]:
    """Return the ids of the active accounts among the first MAX_NOTIFIED_MENTIONS mentions, in at most one query."""
    names = entities.extract_mentions(content)[:MAX_NOTIFIED_MENTIONS]
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(username__in=names, is_active=True)
    return list(users.values_list("pk", flat=True))


def build_mention_events(post: Post, user_ids: Iterable[int]) -> list[Event]:
    """Return the events that notify these users of a mention in the post."""
    return [Event("mention", user_id, post.author_id, post.pk) for user_id in user_ids]
