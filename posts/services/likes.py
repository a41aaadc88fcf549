"""Like and unlike posts and comments. Each call is one transaction; repeating it changes nothing.

A like and its count change in one transaction. Of two identical concurrent calls, the primary key allows only one to
insert, and only one deletes. All functions return the new number of likes. They raise Http404 if the post or comment no
longer exists; likes also if it is hidden.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.http import Http404

from instafeed.core.cache import invalidation, keys
from instafeed.core.db.replicas.session import mark_written
from posts import counters
from posts.models import CommentLike, Like
from posts.services.row_locks import lock_comment, lock_comment_to_withdraw, lock_post_to_withdraw
from posts.visibility import VISIBLE_POST_SQL
from social import notifications
from social.models import NotificationKind, Verb
from social.notifications import Event
from social.notifications.aggregation_keys import build_key

# All of a like in one statement, which is a transaction of its own: the steps that `like_comment` takes one by one.
# With a statement for each, a like took ten round trips to PostgreSQL. Each part reads the rows of the one before it,
# so the rows are locked in this order: post, like, counter. FOR KEY SHARE is explained in posts.services.row_locks.
# The count is that of the snapshot, plus one unless the viewer's like is in it. The new value of the slot is left out:
# after a wait it has changes that the other slots in the snapshot lack, and the sum could be one that never was.
_LIKE_POST_SQL = f"""
WITH visible AS (
    SELECT post.id AS post_id, post.author_id FROM {VISIBLE_POST_SQL} FOR KEY SHARE OF post
), liked AS (
    INSERT INTO posts_like (post_id, user_id) SELECT post_id, %(viewer)s FROM visible
    ON CONFLICT DO NOTHING RETURNING post_id
), announced AS (
    INSERT INTO social_notificationevent
        (verb, kind, aggregation_key, recipient_id, actor_id, post_id, comment_id, created_at)
    SELECT %(verb)s, %(kind)s, %(aggregation_key)s, author_id, %(viewer)s, post_id, NULL, clock_timestamp()
    FROM visible JOIN liked USING (post_id) WHERE author_id <> %(viewer)s RETURNING id
), invalidated AS (
    INSERT INTO core_invalidation (keys, created_at) SELECT %(stale_keys)s, clock_timestamp() FROM liked RETURNING id
), counted AS (
    INSERT INTO posts_counter AS counter (subject_id, slot, likes, comments) SELECT post_id, %(slot)s, 1, 0 FROM liked
    ON CONFLICT (subject_id, slot) DO UPDATE SET likes = counter.likes + 1
), finished AS ({invalidation.DELETE_FINISHED_SQL})
SELECT (SELECT id FROM invalidated), EXISTS (SELECT FROM announced),
       (SELECT coalesce(sum(likes), 0) FROM posts_counter WHERE subject_id = visible.post_id)
     + CASE WHEN EXISTS (SELECT FROM posts_like WHERE post_id = %(post)s AND user_id = %(viewer)s)
       THEN 0 ELSE 1 END
FROM visible
"""  # noqa: S608 (constants)
# Raw SQL: the ORM's INSERT … ON CONFLICT does not return whether it inserted.
_LIKE_COMMENT_SQL = "INSERT INTO posts_commentlike (comment_id, user_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"


def like_post(user_id: int, post_id: int) -> int:
    """Like a post. Raises Http404 also if the user cannot see it."""
    stale_keys = [keys.count(post_id), keys.viewer_flags(user_id)]
    mark_written()
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            _LIKE_POST_SQL,
            {
                "post": post_id,
                "viewer": user_id,
                "verb": Verb.ANNOUNCE,
                "kind": NotificationKind.LIKE,
                "aggregation_key": build_key(NotificationKind.LIKE, user_id, post_id, None),
                "stale_keys": stale_keys,
                "finished": invalidation.take_finished(),
                "slot": counters.choose_slot(),
            },
        )
        row = cursor.fetchone()
    if row is None:
        raise Http404
    invalidation_id, is_announced, like_count = row
    if invalidation_id is not None:  # else liked already
        invalidation.delete_keys_on_commit(invalidation_id, stale_keys)
    if is_announced:
        notifications.consume_on_commit()
    return int(like_count)


def unlike_post(user_id: int, post_id: int) -> int:
    """Remove the user's like of a post, if any."""
    with transaction.atomic():
        author_id = lock_post_to_withdraw(post_id)
        deleted, _ = Like.objects.filter(post_id=post_id, user_id=user_id).delete()
        if deleted:
            notifications.retract(Event("like", author_id, user_id, post_id))
            # Last: the counter slot of a popular post stays locked until the commit.
            counters.increment(post_id, likes=-1, also_drop=[keys.viewer_flags(user_id)])
    return counters.fetch_subject_counts(post_id).likes


def like_comment(user_id: int, comment_id: int, post_id: int, author_id: int) -> int:
    """Like a comment by `author_id` on post `post_id`."""
    with transaction.atomic():
        lock_comment(comment_id)
        if _insert_if_absent(_LIKE_COMMENT_SQL, comment_id, user_id):
            notifications.announce(Event("like", author_id, user_id, post_id, comment_id))
            counters.increment(comment_id, likes=1)
    return counters.fetch_subject_counts(comment_id).likes


def unlike_comment(user_id: int, comment_id: int) -> int:
    """Remove the user's like of a comment, if any."""
    with transaction.atomic():
        author_id, post_id = lock_comment_to_withdraw(comment_id)
        deleted, _ = CommentLike.objects.filter(comment_id=comment_id, user_id=user_id).delete()
        if deleted:
            notifications.retract(Event("like", author_id, user_id, post_id, comment_id))
            counters.increment(comment_id, likes=-1)
    return counters.fetch_subject_counts(comment_id).likes


def _insert_if_absent(statement: str, *values: int) -> bool:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount == 1
