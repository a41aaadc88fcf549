"""Insert the posts of `benchmarks.pull`, some hundreds by each author, and the rows of django-activity-stream.

PostgreSQL generates them: a million posts take twenty seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from benchmarks.seeding import CAPTION, NEWEST_POST_AGE, VARIANTS
from instafeed.core.db import snowflake
from posts.models import Post

TIMESPAN = timedelta(days=60)  # posts are spread evenly over it
_batches = count()  # the lower bits of an id, so that no id repeats

_POSTS_SQL = """
INSERT INTO posts_post (id, author_id, caption, created_at)
SELECT id, author_id, %(caption)s || ' (' || number || ')',
       to_timestamp((%(epoch_ms)s + (id >> %(time_shift)s)) / 1000.0)
FROM (
    SELECT author_id, number, ((%(first)s + number * ((%(last)s - %(first)s) / count)) >> 14 << 14) + %(batch)s AS id
    FROM (
        SELECT author.id AS author_id, row_number() OVER (ORDER BY random()) AS number, count(*) OVER () AS count
        FROM unnest(%(authors)s::bigint[]) WITH ORDINALITY AS author(id, number),
             generate_series(1, %(fewest)s + author.number * 7919 %% (%(most)s - %(fewest)s + 1))
    ) AS shuffled
) AS post
"""
_MEDIA_SQL = """
INSERT INTO media_media (id, owner_id, status, key, is_public, is_attached, width, height, variants, blurhash, alt_text)
SELECT id - (1::bigint << %(time_shift)s), author_id, 2, lpad(id::text, 40, '0'), true, true, 1080, 1350,
       %(variants)s::jsonb, 'LEHV6nWB2yk8pyo0adR*.7kCMdnj', 'Boats at a quay in the evening sun'
FROM posts_post
"""
_POST_MEDIA_SQL = """
INSERT INTO posts_postmedia (post_id, position, media_id)
SELECT id + (1::bigint << %(time_shift)s), 0, id FROM media_media
"""
# Actions and follows of django-activity-stream: who posted what, and whom each user follows.
_ACTIONS_SQL = """
INSERT INTO actstream_action (actor_content_type_id, actor_object_id, verb, action_object_content_type_id,
                              action_object_object_id, timestamp, public)
SELECT %(user_type)s, author_id::text, 'posted', %(post_type)s, id::text, created_at, true
FROM posts_post WHERE id & 16383 = %(batch)s
"""
_ACTION_FOLLOWS_SQL = """
INSERT INTO actstream_follow (user_id, content_type_id, object_id, actor_only, flag, started)
SELECT follower_id, %(user_type)s, followee_id::text, true, '', created_at FROM social_follow
"""


def create_posts(authors: Sequence[User], fewest: int, most: int) -> int:
    """Create between `fewest` and `most` posts by each author, without pictures. Return the number of this batch."""
    now, batch = timezone.now(), next(_batches)
    values = {
        "authors": [author.pk for author in authors],
        "fewest": fewest,
        "most": most,
        "first": snowflake.first_id_at(now - TIMESPAN),
        "last": snowflake.first_id_at(now - NEWEST_POST_AGE),
        "batch": batch,
        "caption": CAPTION,
        "epoch_ms": snowflake.EPOCH_MS,
        "time_shift": snowflake.TIME_SHIFT,
    }
    with transaction.atomic():
        _execute("SELECT setseed(0.2)", {})
        _execute(_POSTS_SQL, values)
    return batch


def create_pictures() -> None:
    """Give each post a picture."""
    with transaction.atomic():
        _execute(_MEDIA_SQL, {"time_shift": snowflake.TIME_SHIFT, "variants": json.dumps(VARIANTS)})
        _execute(_POST_MEDIA_SQL, {"time_shift": snowflake.TIME_SHIFT})


def create_actions(batch: int) -> None:
    """Create an action for each post of a batch, in the tables of django-activity-stream."""
    _execute(_ACTIONS_SQL, {**_content_types(), "batch": batch})


def create_action_follows() -> None:
    """Copy all follows into the tables of django-activity-stream."""
    _execute(_ACTION_FOLLOWS_SQL, _content_types())


def _content_types() -> dict[str, int]:
    types = ContentType.objects.get_for_models(User, Post)
    return {"user_type": types[User].pk, "post_type": types[Post].pk}


def update_statistics() -> None:
    """Vacuum and analyze all tables, as autovacuum does on a running site."""
    _execute("VACUUM ANALYZE", {})


def _execute(statement: str, values: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
