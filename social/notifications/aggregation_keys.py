"""What an entry is about, as a text: a recipient has one entry a subject, however often it happens."""

from __future__ import annotations

from collections.abc import Iterable

from social.models import NotificationKind

_COMMENT_KINDS = (NotificationKind.COMMENT, NotificationKind.REPLY, NotificationKind.MENTION)
_FOLLOW_KINDS = (NotificationKind.FOLLOW, NotificationKind.FOLLOW_REQUEST, NotificationKind.FOLLOW_ACCEPTED)

_WARNING_PREFIX = "warning:"


def build_key(kind: str, actor_id: int, post_id: int | None, comment_id: int | None) -> str:
    """The subject of an event; ValueError where these values make none.

    Likes of one thing are one subject. So is whatever is said of one comment: who is answered, mentioned and
    commented on by it hears of it once.
    """
    if kind in _FOLLOW_KINDS:
        return f"{kind}:{actor_id}"
    if comment_id is not None and kind == NotificationKind.LIKE:
        return _comment_like_key(comment_id)
    if comment_id is not None and kind in _COMMENT_KINDS:
        return _comment_key(comment_id)
    if post_id is not None and kind == NotificationKind.LIKE:
        return _post_like_key(post_id)
    if post_id is not None and kind == NotificationKind.MENTION:
        return _caption_key(post_id)
    if post_id is not None and kind == NotificationKind.MEDIA_FAILED:
        return _media_key(post_id)
    raise ValueError(f"{kind!r} of post {post_id}, comment {comment_id} is no event")


def warning_key(warning_id: int) -> str:
    """Each warning is a subject of its own: no two become one entry."""
    return f"{_WARNING_PREFIX}{warning_id}"


def parse_warning_id(subject: str) -> int | None:
    """The opposite; None for other subjects."""
    return int(subject.removeprefix(_WARNING_PREFIX)) if subject.startswith(_WARNING_PREFIX) else None


def post_keys(post_ids: Iterable[int]) -> list[str]:
    """Every subject that is a post; its comments are subjects of their own."""
    return [make(post_id) for post_id in post_ids for make in (_post_like_key, _caption_key, _media_key)]


def comment_keys(comment_ids: Iterable[int]) -> list[str]:
    return [make(comment_id) for comment_id in comment_ids for make in (_comment_like_key, _comment_key)]


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
