"""The size of PostgreSQL's tables with their indexes, and how much WAL it has written."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

# For each of these, its tables, and the table whose rows they are divided by.
USER = (
    (("accounts_user",), "accounts_user"),
    (("accounts_session",), "accounts_session"),
    (("social_notificationstate",), "social_notificationstate"),
)
FOLLOW = ((("social_follow",), "social_follow"),)
POST = (  # with one picture and one hashtag; its fan-out is deleted after some weeks
    (("posts_post",), "posts_post"),
    (("media_media", "posts_postmedia"), "media_media"),
    (("posts_posthashtag",), "posts_posthashtag"),
)
LIKE = (
    (("posts_like", "posts_counter"), "posts_like"),
    (("social_notification", "social_notificationactor"), "social_notificationactor"),
)

_SIZE_SQL = """
SELECT sum(pg_total_relation_size(oid)), sum(reltuples) FILTER (WHERE relkind <> 'p') FROM pg_class
WHERE oid = %(table)s::regclass OR oid IN (SELECT relid FROM pg_partition_tree(%(table)s::regclass))
"""


def bytes_per_row(parts: Sequence[tuple[Sequence[str], str]]) -> float:
    """Return the bytes of one row of each part. The tables must be analyzed and have many rows."""
    return sum(sum(_size(table)[0] for table in tables) / _size(counted)[1] for tables, counted in parts)


def _size(table: str) -> tuple[float, float]:
    """Return the bytes of a table with its indexes and partitions, and its rows."""
    with connection.cursor() as cursor:
        cursor.execute(_SIZE_SQL, {"table": table})
        size, rows = cursor.fetchone()
    return float(size), max(1.0, rows)


def wal_position() -> int:
    """Return the bytes of WAL that the primary has ever written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
        position: int = cursor.fetchone()[0]
    return position
