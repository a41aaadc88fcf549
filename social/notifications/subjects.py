"""What an entry is about, as a text: a recipient has one entry a subject, however often it happens."""

from __future__ import annotations

from collections.abc import Iterable

from social.models import NotificationKind

_WORDS = (NotificationKind.COMMENT, NotificationKind.REPLY, NotificationKind.MENTION)
_PEOPLE = (NotificationKind.FOLLOW, NotificationKind.FOLLOW_REQUEST, NotificationKind.FOLLOW_ACCEPTED)

_WARNING = "warning:"


def subject_of(kind: str, actor_id: int, post_id: int | None, comment_id: int | None) -> str:
    """The subject of an event; ValueError where these values make none.

    Likes of one thing are one subject. So is whatever is said of one comment: who is answered, mentioned and
    commented on by it hears of it once.
    """
    if kind in _PEOPLE:
        return f"{kind}:{actor_id}"
    if comment_id is not None and kind == NotificationKind.LIKE:
        return _like_of_comment(comment_id)
    if comment_id is not None and kind in _WORDS:
        return _comment(comment_id)
    if post_id is not None and kind == NotificationKind.LIKE:
        return _like_of_post(post_id)
    if post_id is not None and kind == NotificationKind.MENTION:
        return _caption(post_id)
    if post_id is not None and kind == NotificationKind.MEDIA_FAILED:
        return _media_of(post_id)
    raise ValueError(f"{kind!r} of post {post_id}, comment {comment_id} is no event")


def of_warning(warning_id: int) -> str:
    """Each warning is a subject of its own: no two become one entry."""
    return f"{_WARNING}{warning_id}"


def warning_of(subject: str) -> int | None:
    """The opposite; None for other subjects."""
    return int(subject.removeprefix(_WARNING)) if subject.startswith(_WARNING) else None


def about_posts(post_ids: Iterable[int]) -> list[str]:
    """Every subject that is a post; its comments are subjects of their own."""
    return [make(post_id) for post_id in post_ids for make in (_like_of_post, _caption, _media_of)]


def about_comments(comment_ids: Iterable[int]) -> list[str]:
    return [make(comment_id) for comment_id in comment_ids for make in (_like_of_comment, _comment)]


def _like_of_post(post_id: int) -> str:
    return f"like:post:{post_id}"


def _like_of_comment(comment_id: int) -> str:
    return f"like:comment:{comment_id}"


def _comment(comment_id: int) -> str:
    return f"comment:{comment_id}"


def _caption(post_id: int) -> str:
    return f"caption:{post_id}"


def _media_of(post_id: int) -> str:
    return f"media:{post_id}"
