"""A million accounts and what hangs on them, made by PostgreSQL itself: rows for the admin's pages, in a minute or two.

Every table that the admin lists is as large as on a big site, and has its rare rows (suspended, hidden, failed, dead)
far apart, where only an index finds them quickly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from instafeed.core.db import snowflake

DATA_TIMESPAN = timedelta(days=60)  # over which posts, comments and pictures are spread


@dataclass(frozen=True)
class RowCounts:
    """How many rows of each kind."""

    users: int
    posts: int  # each with a fan-out, every other one with a picture
    comments: int
    cases: int  # each with five reports
    audits: int
    samples: int = 7 * 24 * 60


# %(…)s are the sizes, and `first` and `step` the oldest id and the distance of two posts' ids.
_STATEMENTS = {
    "users": """
        INSERT INTO accounts_user (username, email, password, is_superuser, display_name, bio, website, avatar_path,
                                   is_private, is_active, is_staff, suspended_at, follower_count, post_count)
        SELECT 'user' || n, 'user' || n || '@example.com', '!', false, 'User number ' || n, 'Just me.', '', '',
               n %% 10 = 0, n %% 1000 <> 0, n %% 100000 = 0, CASE WHEN n %% 1000 = 0 THEN now() END,
               (500000 / n)::int, 2
        FROM generate_series(1, %(users)s) AS n
    """,
    "media": """
        INSERT INTO media_media (id, owner_id, status, error, key, is_public, is_withheld, is_attached, width, height,
                                 variants)
        SELECT %(first)s + n * %(step)s - 5, person.id, CASE WHEN n %% 2000 = 0 THEN 3 ELSE 2 END,
               CASE WHEN n %% 2000 = 0 THEN 'The file is broken.' ELSE '' END,
               CASE WHEN n %% 2000 = 0 THEN '' ELSE lpad(n::text, 40, '0') END, true, false, true, 1080, 1350,
               '{"150": {"name": "150.webp", "width": 120, "height": 150},
                 "1080": {"name": "1080.webp", "width": 864, "height": 1080}}'
        FROM generate_series(2, %(posts)s, 2) AS n JOIN accounts_user AS person ON person.id = %(user)s + n %% %(users)s
    """,
    "posts": """
        INSERT INTO posts_post (id, author_id, caption, created_at, hidden_at)
        SELECT %(first)s + n * %(step)s, %(user)s + n %% %(users)s, 'Sunday light over the old harbour ' || n,
               now() - make_interval(secs => %(seconds)s * (1 - n / %(posts)s::float8)),
               CASE WHEN n %% 5000 = 0 THEN now() END
        FROM generate_series(1, %(posts)s) AS n
    """,
    "places": """
        INSERT INTO posts_postmedia (post_id, position, media_id)
        SELECT media.id + 5, 0, media.id FROM media_media AS media
    """,
    "fan-outs": """
        INSERT INTO feeds_fanout (post_id, author_id, mode, state, deliveries, due_at, created_at, finished_at, error)
        SELECT id, author_id, 0, CASE WHEN hidden_at IS NOT NULL THEN 3 ELSE 2 END, 100, created_at, created_at,
               created_at + interval '0.3 seconds', ''
        FROM posts_post
    """,
    "comments": """
        INSERT INTO posts_comment (id, post_id, author_id, text, hidden_at)
        SELECT %(first)s + n * %(step)s + 7, %(first)s + (n %% %(posts)s + 1) * %(step)s, %(user)s + n %% %(users)s,
               'What a day! ' || n, CASE WHEN n %% 5000 = 0 THEN now() END
        FROM generate_series(1, %(comments)s) AS n
    """,
    "reports": """
        INSERT INTO posts_report (reporter_id, target_type, target_id, reason, note)
        SELECT %(user)s + (n * 7 + k) %% %(users)s, 'post', %(first)s + n * %(step)s, 'spam', 'Look at this.'
        FROM generate_series(1, %(cases)s) AS n, generate_series(1, 5) AS k
    """,
    "cases": """
        INSERT INTO posts_case (target_type, target_id, user_id, report_count, reasons, first_reported_at,
                                last_reported_at, state, closed_at)
        SELECT CASE WHEN n %% 500 = 0 THEN 'comment' ELSE 'post' END, %(first)s + n * %(step)s,
               %(user)s + n %% %(users)s, 5, CASE WHEN n %% 1000 = 0 THEN ARRAY['nudity'] ELSE ARRAY['spam'] END,
               now(), now(), CASE WHEN n %% 10 = 0 THEN 0 WHEN n %% 100 = 1 THEN 2 ELSE 1 END,
               CASE WHEN n %% 10 <> 0 THEN now() - make_interval(mins => n %% 100000) END
        FROM generate_series(1, %(cases)s) AS n
    """,
    "audit entries": """
        INSERT INTO accounts_auditentry (actor_id, actor_name, action, target_type, target_id, user_id, reason,
                                         before, after)
        SELECT 1, 'moderator', 'hide', 'post', %(first)s + n * %(step)s, %(user)s + n %% %(users)s, 'Spam.', '{}', '{}'
        FROM generate_series(1, %(audits)s) AS n
    """,
}


def insert_rows(crowd: RowCounts, say: Callable[[str], None]) -> None:
    """Into an empty database; the statistics are fresh afterwards."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM accounts_user")
        first_user = cursor.fetchone()[0]
        cursor.execute("SELECT setval(pg_get_serial_sequence('accounts_user', 'id'), %s, false)", [first_user])
        first = snowflake.first_id_at(timezone.now() - DATA_TIMESPAN)
        values = {
            **vars(crowd),
            "user": first_user,
            "first": first,
            "step": (snowflake.first_id_at(timezone.now() - timedelta(minutes=1)) - first) // crowd.posts,
            "seconds": int(DATA_TIMESPAN.total_seconds()),
        }
        for what, statement in _STATEMENTS.items():
            say(what)
            cursor.execute(statement, values)
        cursor.execute("VACUUM ANALYZE")
