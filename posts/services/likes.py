"""Liking posts and comments, and taking it back. Each call is one transaction; repeated, it changes nothing.

The row and its count change together or not at all: of two equal calls at once the primary key lets one
insert, and one delete. All raise Http404 for what is gone by now.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from instafeed.core.cache import keys
from posts import counters
from posts.counters import Counts
from posts.models import CommentLike, Like
from posts.services.row_locks import lock_comment, lock_post
from social import notifications
from social.notifications import Event

# Raw: the ORM's INSERT … ON CONFLICT does not say whether it inserted.
_LIKE_POST_SQL = "INSERT INTO posts_like (post_id, user_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_LIKE_COMMENT_SQL = "INSERT INTO posts_commentlike (comment_id, user_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"


def like_post(user_id: int, post_id: int, author_id: int) -> Counts:
    """Like a post that the user sees, by `author_id`; the post's counts afterwards."""
    with transaction.atomic():
        lock_post(post_id)
        if _insert_if_absent(_LIKE_POST_SQL, post_id, user_id):
            notifications.announce(Event("like", author_id, user_id, post_id))
            _increment_post_likes(post_id, user_id, 1)
    return counters.fetch_subject_counts(post_id)


def unlike_post(user_id: int, post_id: int, author_id: int) -> Counts:
    """The opposite."""
    with transaction.atomic():
        lock_post(post_id)
        gone, _ = Like.objects.filter(post_id=post_id, user_id=user_id).delete()
        if gone:
            notifications.retract(Event("like", author_id, user_id, post_id))
            _increment_post_likes(post_id, user_id, -1)
    return counters.fetch_subject_counts(post_id)


def like_comment(user_id: int, comment_id: int, post_id: int, author_id: int) -> Counts:
    """Like a comment that the user sees, by `author_id` on post `post_id`; the comment's counts afterwards."""
    with transaction.atomic():
        lock_comment(comment_id)
        if _insert_if_absent(_LIKE_COMMENT_SQL, comment_id, user_id):
            notifications.announce(Event("like", author_id, user_id, post_id, comment_id))
            counters.increment(comment_id, likes=1)
    return counters.fetch_subject_counts(comment_id)


def unlike_comment(user_id: int, comment_id: int, post_id: int, author_id: int) -> Counts:
    """The opposite."""
    with transaction.atomic():
        lock_comment(comment_id)
        gone, _ = CommentLike.objects.filter(comment_id=comment_id, user_id=user_id).delete()
        if gone:
            notifications.retract(Event("like", author_id, user_id, post_id, comment_id))
            counters.increment(comment_id, likes=-1)
    return counters.fetch_subject_counts(comment_id)


def _insert_if_absent(statement: str, *values: int) -> bool:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount == 1


def _increment_post_likes(post_id: int, user_id: int, likes: int) -> None:
    """Last in the transaction: a slot of a much-liked post is locked from here to the commit, and no longer."""
    counters.increment(post_id, likes=likes, also_drop=[keys.viewer_flags(user_id)])
