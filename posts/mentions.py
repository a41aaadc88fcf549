"""Find the accounts that a text mentions, and notify those that a caption mentions.

A post records whom it notified, by the name in the caption: `Post.notified_mentions`. So an edit that removes a mention
retracts its notification, although the account may have been renamed or suspended since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import DEFAULT_DB_ALIAS

from accounts.models import User
from posts import entities
from posts.models import Post
from social import notifications
from social.notifications import Event

MAX_NOTIFIED_MENTIONS = 20  # per text; more mentions are spam and notify no one


def get_mentioned_users(content: str) -> dict[str, int]:
    """Return the ids, by name, of the active accounts among the first MAX_NOTIFIED_MENTIONS mentions."""
    return _resolve(entities.extract_mentions(content)[:MAX_NOTIFIED_MENTIONS])


def announce_caption_mentions(post: Post) -> None:
    """Notify the accounts in `post.notified_mentions` of a new post."""
    notifications.announce(*_build_events(post, post.notified_mentions.values()))


def update_caption_mentions(post: Post) -> None:
    """Notify the accounts that the caption newly mentions, and retract the notifications of removed mentions.

    Sets `post.notified_mentions`, which the caller saves. While media are pending, no one is notified.
    """
    if post.media_pending:
        return
    names = entities.extract_mentions(post.caption)
    kept = {name: user_id for name, user_id in post.notified_mentions.items() if name in names}
    room = MAX_NOTIFIED_MENTIONS - len(kept)
    new = _resolve([name for name in names if name not in kept][: max(room, 0)])
    before, after = set(post.notified_mentions.values()), {*kept.values(), *new.values()}
    notifications.announce(*_build_events(post, after - before))
    notifications.retract(*_build_events(post, before - after))
    post.notified_mentions = kept | new


def _resolve(names: Collection[str]) -> dict[str, int]:
    """Return the ids of the active accounts with these names, by name, in at most one query."""
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(username__in=names, is_active=True)
    return dict(users.values_list("username", "pk")) if names else {}


def _build_events(post: Post, user_ids: Iterable[int]) -> list[Event]:
    return [Event("mention", user_id, post.author_id, post.pk) for user_id in user_ids]
