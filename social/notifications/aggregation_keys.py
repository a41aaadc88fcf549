"""Aggregation keys: a recipient has one entry for each key, so events with the same key are merged."""

from __future__ import annotations

from collections.abc import Iterable

from social.models import NotificationKind

_COMMENT_KINDS = (NotificationKind.COMMENT, NotificationKind.REPLY, NotificationKind.MENTION)
_FOLLOW_KINDS = (NotificationKind.FOLLOW, NotificationKind.FOLLOW_REQUEST, NotificationKind.FOLLOW_ACCEPTED)
_MESSAGE_PREFIX = "message:"


def build_key(kind: str, actor_id: int, post_id: int | None, comment_id: int | None) -> str:
    """Return the key of an event. Raises ValueError for an impossible combination of kind and ids.

    All likes of one target share a key. Comment, reply and mention events of one comment share a key too: a recipient
    whom the comment answers and mentions gets one notification.
    """
    if kind in _FOLLOW_KINDS:
        return f"{kind}:{actor_id}"
    if comment_id is not None and kind == NotificationKind.LIKE:
        return _comment_like_key(comment_id)
    if comment_id is not None and kind in _COMMENT_KINDS:
        return _comment_key(comment_id)
    if comment_id is not None and kind == NotificationKind.CONTENT_HIDDEN:
        return _hidden_comment_key(comment_id)
    if post_id is not None and kind == NotificationKind.CONTENT_HIDDEN:
        return _hidden_post_key(post_id)
    if post_id is not None and kind == NotificationKind.LIKE:
        return _post_like_key(post_id)
    if post_id is not None and kind == NotificationKind.MENTION:
        return _caption_key(post_id)
    if post_id is not None and kind == NotificationKind.MEDIA_FAILED:
        return _media_key(post_id)
    raise ValueError(f"not a notification event: kind {kind!r}, post {post_id}, comment {comment_id}")


def message_key(message_id: int) -> str:
    """Return the key of a moderator's message. Each has its own, so messages are never merged."""
    return f"{_MESSAGE_PREFIX}{message_id}"


def parse_message_id(key: str) -> int | None:
    """Return the message id of a message's key, None for other keys."""
    return int(key.removeprefix(_MESSAGE_PREFIX)) if key.startswith(_MESSAGE_PREFIX) else None


def post_keys(post_ids: Iterable[int]) -> list[str]:
    """Return all keys about the posts themselves. Their comments have keys of their own."""
    builders = (_post_like_key, _caption_key, _media_key, _hidden_post_key)
    return [build(post_id) for post_id in post_ids for build in builders]


def comment_keys(comment_ids: Iterable[int]) -> list[str]:
    """Return all keys about the comments."""
    builders = (_comment_like_key, _comment_key, _hidden_comment_key)
    return [build(comment_id) for comment_id in comment_ids for build in builders]


def _post_like_key(post_id: int) -> str:
    return f"like:post:{post_id}"


def _comment_like_key(comment_id: int) -> str:
    return f"like:comment:{comment_id}"


def _comment_key(comment_id: int) -> str:
    return f"comment:{comment_id}"


def _caption_key(post_id: int) -> str:
    return f"caption:{post_id}"


def _media_key(post_id: int) -> str:
    return f"media:{post_id}"


def _hidden_post_key(post_id: int) -> str:
    return f"hidden:post:{post_id}"


def _hidden_comment_key(comment_id: int) -> str:
    return f"hidden:comment:{comment_id}"
