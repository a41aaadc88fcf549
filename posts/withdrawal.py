"""What users can take back although its target is out of their sight: likes, saves and comments.

The author may have turned private or blocked the user since, or be suspended, or a moderator may have hidden the
target. Only users who have something to take back learn that the target still exists. For all others it raises
Http404, like a target that does not exist. So does a target that is deleted, or whose account is.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.http import Http404

from posts.comment_selectors import get_visible_comment
from posts.models import CommentLike, Like, Save
from posts.visibility import get_visible_post_author_id


def can_see_post_to_withdraw(user_id: int, post_id: int, reaction: type[Like | Save]) -> bool:
    """Return whether the user sees the post. Raises Http404 if they do not and have no such reaction to it."""
    try:
        get_visible_post_author_id(user_id, post_id)
    except Http404:
        rows = reaction._default_manager.filter(post_id=post_id, user_id=user_id)
        _require_exists(rows.filter(post__deleted_at=None, post__author__deleted_at=None))
        return False
    return True


def can_see_comment_to_withdraw(user_id: int, comment_id: int) -> bool:
    """Return whether the user sees the comment. Raises Http404 if they do not and do not like it."""
    try:
        get_visible_comment(user_id, comment_id)
    except Http404:
        likes = CommentLike.objects.filter(comment_id=comment_id, user_id=user_id)
        likes = likes.filter(comment__author__deleted_at=None, comment__post__deleted_at=None)
        _require_exists(likes.filter(comment__post__author__deleted_at=None))
        return False
    return True


def _require_exists(rows: QuerySet[Like] | QuerySet[Save] | QuerySet[CommentLike]) -> None:
    if not rows.using(DEFAULT_DB_ALIAS).exists():
        raise Http404
