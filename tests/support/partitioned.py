"""Give the empty tables of a test other partitions, such as those that a site of some age has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise

from django.db import connection
from django.utils import timezone

from instafeed.core.db import partitions
from instafeed.core.db.snowflake import first_id_at

TABLES = {"posts_post": 365, "posts_like": 365, "feeds_fanout": 30}  # days of a partition, by default


def partition_by_month(months: int) -> None:
    """Give each of the last months, of 30 days, a partition."""
    _partition_between([(month - months) * timedelta(days=30) for month in range(months + 2)])


def partition_by_moments(length: timedelta, count: int, growth: int = 1) -> None:
    """Let the next posts come to `count` partitions: the first of this length, each other `growth` times as long."""
    lengths = (length * growth**number for number in range(count - 1))
    _partition_between(list(accumulate(lengths, initial=timedelta())))


def restore_partitions() -> None:
    """Give the tables the partitions of a new site."""
    for table, days in TABLES.items():
        statements = partitions.create_first_partitions(table, timedelta(days=days), timezone.now())
        _replace_partitions(table, statements)


def _partition_between(times: Sequence[timedelta]) -> None:
    now = timezone.now()
    bounds = ["MINVALUE", *(str(first_id_at(now + time)) for time in times), "MAXVALUE"]
    for table in TABLES:
        _replace_partitions(
            table,
            (
                f"CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES FROM ({start}) TO ({end})"
                for number, (start, end) in enumerate(pairwise(bounds))
            ),
        )


def _replace_partitions(table: str, statements: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        for partition in partitions.fetch_partitions(table):
            cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {partition.name}")
            cursor.execute(f"DROP TABLE {partition.name}")
        for statement in statements:
            cursor.execute(statement)
