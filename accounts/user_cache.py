"""Summaries of users as JSON, as posts and lists show them.

They are cached apart from posts, so that a rename invalidates one key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from accounts import avatar_storage
from accounts.models import User
from accounts.tokens import TokenRefused
from instafeed.core import compact_json
from instafeed.core.cache import keys
from instafeed.core.cache.read_through import ReadThroughCache

# The model fields of a summary, for `.only(…)` in queries that join users.
SUMMARY_FIELDS = ("id", "username", "display_name", "avatar_path", "celebrity_state")


def render_user_summary(user: User) -> dict[str, Any]:
    """Return the user as other objects show it: as an author, a liker or a follower."""
    return {
        "id": str(user.pk),
        "username": user.username,
        "display_name": user.display_name,
        "avatar_url": avatar_storage.public_url(user.avatar_path),
        "is_celebrity": user.is_celebrity,
    }


def get_user_summaries(user_ids: Iterable[int]) -> dict[int, bytes]:
    """Return summaries as JSON bytes by user id, without users that do not exist or are inactive."""
    return user_summary_cache.get(user_ids)


def get_own_summary(user_id: int) -> bytes:
    """Return the summary of the requesting user.

    Raises TokenRefused (401) if the account was deactivated after its token was checked.
    """
    summary = get_user_summaries([user_id]).get(user_id)
    if summary is None:
        raise TokenRefused
    return summary


def _load_summaries(user_ids: Sequence[int]) -> dict[int, bytes]:
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=user_ids, is_active=True).only(*SUMMARY_FIELDS)
    return {user.pk: compact_json.encode(render_user_summary(user)) for user in users}


user_summary_cache = ReadThroughCache(keys.user_summary, _load_summaries, keys.USER_SUMMARY_TTL)
