"""Like and unlike posts and comments. Each call is one transaction; repeating it changes nothing.

A like and its count change in one transaction. Of two identical concurrent calls, the primary key allows only one to
insert, and only one deletes. All functions raise Http404 if the post or comment no longer exists; likes also if it is
hidden.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from instafeed.core.cache import keys
from posts import counters
from posts.counters import Counts
from posts.models import CommentLike, Like
from posts.services.row_locks import lock_comment, lock_comment_to_withdraw, lock_post, lock_post_to_withdraw
from social import notifications
from social.notifications import Event

# Raw SQL: the ORM's INSERT … ON CONFLICT does not return whether it inserted.
_LIKE_POST_SQL = "INSERT INTO posts_like (post_id, user_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_LIKE_COMMENT_SQL = "INSERT INTO posts_commentlike (comment_id, user_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"


def like_post(user_id: int, post_id: int, author_id: int) -> Counts:
    """Like a post by `author_id` and return the post's new counts."""
    with transaction.atomic():
        lock_post(post_id)
        if _insert_if_absent(_LIKE_POST_SQL, post_id, user_id):
            notifications.announce(Event("like", author_id, user_id, post_id))
            _increment_post_likes(post_id, user_id, 1)
    return counters.fetch_subject_counts(post_id)


def unlike_post(user_id: int, post_id: int) -> Counts:
    """Remove the user's like of a post, if any, and return the post's new counts."""
    with transaction.atomic():
        author_id = lock_post_to_withdraw(post_id)
        deleted, _ = Like.objects.filter(post_id=post_id, user_id=user_id).delete()
        if deleted:
            notifications.retract(Event("like", author_id, user_id, post_id))
            _increment_post_likes(post_id, user_id, -1)
    return counters.fetch_subject_counts(post_id)


def like_comment(user_id: int, comment_id: int, post_id: int, author_id: int) -> Counts:
    """Like a comment by `author_id` on post `post_id` and return the comment's new counts."""
    with transaction.atomic():
        lock_comment(comment_id)
        if _insert_if_absent(_LIKE_COMMENT_SQL, comment_id, user_id):
            notifications.announce(Event("like", author_id, user_id, post_id, comment_id))
            counters.increment(comment_id, likes=1)
    return counters.fetch_subject_counts(comment_id)


def unlike_comment(user_id: int, comment_id: int) -> Counts:
    """Remove the user's like of a comment, if any, and return the comment's new counts."""
    with transaction.atomic():
        author_id, post_id = lock_comment_to_withdraw(comment_id)
        deleted, _ = CommentLike.objects.filter(comment_id=comment_id, user_id=user_id).delete()
        if deleted:
            notifications.retract(Event("like", author_id, user_id, post_id, comment_id))
            counters.increment(comment_id, likes=-1)
    return counters.fetch_subject_counts(comment_id)


def _insert_if_absent(statement: str, *values: int) -> bool:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount == 1


def _increment_post_likes(post_id: int, user_id: int, likes: int) -> None:
    """Call this last in the transaction: the counter slot of a popular post stays locked until the commit."""
    counters.increment(post_id, likes=likes, also_drop=[keys.viewer_flags(user_id)])
