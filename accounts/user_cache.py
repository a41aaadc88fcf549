"""A user as the author of something, as JSON: cached apart from posts, so that a rename touches one key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from accounts.models import User
from accounts.tokens import TokenRefused
from instafeed.core.api.links import file_url
from instafeed.core.cache import keys
from instafeed.core.cache.read_through import ReadThroughCache

# What a card is made of: for `.only(…)` of whoever renders rows that hold a user.
SUMMARY_FIELDS = ("id", "username", "display_name", "avatar_path", "celebrity_state")


def render_user_summary(user: User) -> dict[str, Any]:
    """A user as other objects show it: an author, a liker, a follower."""
    return {
        "id": str(user.pk),
        "username": user.username,
        "display_name": user.display_name,
        "avatar_url": file_url(user.avatar_path),
        "is_celebrity": user.is_celebrity,
    }


def get_user_summaries(user_ids: Iterable[int]) -> dict[int, bytes]:
    """Cards as JSON bytes by user; those who do not exist or have no access are absent."""
    return user_summary_cache.get(user_ids)


def get_own_summary(user_id: int) -> bytes:
    """The card of whoever asks. Raises TokenRefused (401) if they lost their access since their token was checked."""
    card = get_user_summaries([user_id]).get(user_id)
    if card is None:
        raise TokenRefused
    return card


def _load_summaries(user_ids: Sequence[int]) -> dict[int, bytes]:
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=user_ids, is_active=True).only(*SUMMARY_FIELDS)
    return {user.pk: _encode_summary(render_user_summary(user)) for user in users}


def _encode_summary(card: dict[str, Any]) -> bytes:
    return json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode()


user_summary_cache = ReadThroughCache(keys.user_card, _load_summaries, keys.USER_CARD_TTL)
