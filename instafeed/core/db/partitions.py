"""Tables in partitions by ranges of snowflake ids, which are ranges of time (ADR 17).

The partitions of a table follow each other without a gap. The first has no lower limit and the last, the open one, no
upper limit, so every id has a partition, even if none was added for years. `maintain` keeps the open partition in the
future: it closes it at a later time and adds another one. So new rows come to partitions of one length.

    first: … 2027    posts_post_20270101: 2027 to 2028    posts_post_20280101: 2028 …, open and still empty

There is no DEFAULT partition: with one PostgreSQL cannot read the partitions one after the other in the order of ids,
and stop at the first that has enough rows.

Retention replaces the partitions whose ids are all too old by one that has only the rows that must be kept.

Changes hold their locks for some milliseconds and wait for them for `LOCK_TIMEOUT` at most, as all later queries on
the table wait behind them. If that is not enough, or a process ends in between, the next run of `maintain` goes on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from instafeed.core.db.advisory_locks import try_acquire
from instafeed.core.db.snowflake import EPOCH, first_id_at, timestamp_of_id
from instafeed.core.db.timeout_connection import query_row

logger = logging.getLogger(__name__)

AHEAD = timedelta(days=14)  # the open partition begins at least as far in the future
MAX_KEPT_ROWS = 10_000  # that are copied while a table is locked: about 0.1 s
LOCK_TIMEOUT = "500ms"
ANALYZE_INTERVAL = "1 day"

_RETRYABLE_SQLSTATES = ("55P03", "40P01")  # lock not available in time, deadlock
_BOUNDS = re.compile(r"FOR VALUES FROM \((?:MINVALUE|'(-?\d+)')\) TO \((?:MAXVALUE|'(-?\d+)')\)")
_PARTITIONS_SQL = """
SELECT partition.relname, pg_get_expr(partition.relpartbound, partition.oid)
FROM pg_inherits JOIN pg_class AS partition ON partition.oid = inhrelid
WHERE inhparent = %s::regclass
"""
_COLUMN_SQL = """
SELECT attname FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
WHERE partrelid = %s::regclass
"""
# Foreign keys to a table: referring table, name, definition, whether all rows have been checked.
_REFERENCES_SQL = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE confrelid = %s::regclass AND contype = 'f' AND conparentid = 0
"""
_WAS_ANALYZED_SQL = """
SELECT coalesce(pg_stat_get_last_analyze_time(%s::regclass) > now() - %s::interval, false)
"""
_OPEN_PARTITIONS_SQL = """
SELECT json_object_agg(inhparent::regclass, bounds)
FROM pg_inherits JOIN pg_class AS partition ON partition.oid = inhrelid AND partition.relkind = 'r',
     pg_get_expr(partition.relpartbound, partition.oid) AS bounds
WHERE bounds LIKE '%TO (MAXVALUE)'
"""


@dataclass(frozen=True)
class Partition:
    name: str
    start: int | None  # the first id; None: no lower limit
    end: int | None  # the first id past it; None: the open partition


@dataclass(frozen=True)
class PartitionedTable:
    name: str
    length: timedelta  # of new partitions, in whole days
    retention: timedelta | None = None  # None: rows are kept
    kept: str = "false"  # SQL condition of the rows that retention keeps


class _IsBusy(Exception):
    """Another process changes the partitions of this table."""


def maintain(table: PartitionedTable, now: datetime) -> bool:
    """Add the next partition of a table and drop expired ones, if it is time. Return False to try again later.

    Any number of processes may call it at the same time.
    """
    try:
        _extend(table, now)
        _validate_references(table)
        _drop_expired(table, now)
        _analyze(table)
    except _IsBusy:
        return False
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) not in _RETRYABLE_SQLSTATES:
            raise
        logger.info("partitions of %s: could not acquire a lock within %s", table.name, LOCK_TIMEOUT)
        return False
    return True


def describe_changes(table: PartitionedTable, now: datetime) -> list[str]:
    """Return what `maintain` would change, as texts such as "close posts_post_20270101"."""
    closed = _open_to_close(table, now)
    expired = ", ".join(partition.name for partition in _expired(table, now))
    return [*([f"close {closed.name}"] if closed else []), *([f"drop {expired}"] if expired else [])]


def next_bound(length: timedelta, after: datetime) -> int:
    """Return the first id of the next partition that begins after a time. Bounds are multiples of the length."""
    return first_id_at(EPOCH + length * ((after - EPOCH) // length + 1))


def fetch_partitions(table: str) -> list[Partition]:
    """Return the partitions of a table on the primary, in order; none if it is not partitioned."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_PARTITIONS_SQL, [table])
        return parse_partitions(cursor.fetchall())


def parse_partitions(rows: Iterable[tuple[str, str]]) -> list[Partition]:
    """Return the partitions of (name, bounds as SQL) in order."""
    partitions = []
    for name, bounds in rows:
        match = _BOUNDS.fullmatch(bounds)
        assert match is not None, bounds
        start, end = (int(bound) if bound else None for bound in match.groups())
        partitions.append(Partition(name, start, end))
    return sorted(partitions, key=lambda partition: (partition.start is not None, partition.start))


def create_first_partitions(table: str, length: timedelta, now: datetime) -> list[str]:
    """Return the SQL that gives a new table its first partition and the open one."""
    bound = next_bound(length, now + AHEAD)
    return [_create(table, None, bound), _create(table, bound, None)]


def partition_gauges() -> dict[str, dict[str, float]]:
    """Return how long ahead partitions have been added, by table. Raises psycopg.Error if the primary does not answer.

    A negative number means that new rows come to the open partition.
    """
    (bounds,) = query_row("default", _OPEN_PARTITIONS_SQL)
    opened = parse_partitions((bounds or {}).items())
    return {"instafeed_partition_ahead_seconds": {one.name: _seconds_until(one.start or 0) for one in opened}}


def _seconds_until(id_: int) -> float:
    return (timestamp_of_id(id_) - timezone.now()).total_seconds()


# --- Closing the open partition ----------------------------------------------------------------------


def _extend(table: PartitionedTable, now: datetime) -> None:
    """Close the open partition if it begins too soon, and add another one.

    It is empty then, unless this is late by more than AHEAD. Its rows stay where they are, so it may be longer than
    others once. They are checked before the partition is closed, in a statement that lets others read and write.
    """
    if _open_to_close(table, now) is None:
        return
    with _locked(table) as cursor:
        opened = _open_to_close(table, now)
        if opened is None:
            return
        column, check = _column(cursor, table), f"{opened.name}_bounds"
        cursor.execute(f"SELECT coalesce(max({column}), 0) FROM {opened.name}")  # noqa: S608 (names)
        (last,) = cursor.fetchone()
        end = next_bound(table.length, max(now + AHEAD, *map(timestamp_of_id, (last, opened.start or 0))))
        start = "" if opened.start is None else f" AND {column} >= {opened.start}"
        cursor.execute(f"ALTER TABLE {opened.name} DROP CONSTRAINT IF EXISTS {check}")
        cursor.execute(
            f"ALTER TABLE {opened.name} ADD CONSTRAINT {check}"
            f" CHECK ({column} IS NOT NULL{start} AND {column} < {end}) NOT VALID"
        )
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {opened.name} VALIDATE CONSTRAINT {check}")
    with _locked(table) as cursor:
        if opened not in fetch_partitions(table.name):
            return  # another process has closed it
        with _without_references(cursor, table.name, opened.name):
            cursor.execute(f"ALTER TABLE {table.name} DETACH PARTITION {opened.name}")
            bounds = _bounds(opened.start, end)
            cursor.execute(f"ALTER TABLE {table.name} ATTACH PARTITION {opened.name} {bounds}")
            cursor.execute(_create(table.name, end, None))
        cursor.execute(f"ALTER TABLE {opened.name} DROP CONSTRAINT {check}")
    logger.info("closed partition %s, the next one begins at %s", opened.name, timestamp_of_id(end))


def _open_to_close(table: PartitionedTable, now: datetime) -> Partition | None:
    """Return the open partition if it begins too soon."""
    partitions = fetch_partitions(table.name)
    if not partitions:
        return None
    opened = partitions[-1]
    return opened if opened.start is None or opened.start <= first_id_at(now + AHEAD) else None


@contextmanager
def _without_references(cursor: CursorWrapper, table: str, partition: str) -> Iterator[None]:
    """Drop the foreign keys to a table and add them again, if others may refer to rows of a partition.

    PostgreSQL refuses to detach a partition whose rows others refer to. All rows are checked again afterwards, by
    `_validate_references`.
    """
    cursor.execute(f"SELECT EXISTS (SELECT FROM {partition})")  # noqa: S608 (name of a table)
    references = _references(cursor, table) if cursor.fetchone()[0] else []
    for referring, name, _, _ in references:
        cursor.execute(f'ALTER TABLE {referring} DROP CONSTRAINT "{name}"')
    yield
    for referring, name, definition, _ in references:
        not_valid = "" if definition.endswith("NOT VALID") else " NOT VALID"
        cursor.execute(f'ALTER TABLE {referring} ADD CONSTRAINT "{name}" {definition}{not_valid}')


def _references(cursor: CursorWrapper, table: str) -> list[tuple[str, str, str, bool]]:
    cursor.execute(_REFERENCES_SQL, [table])
    return list(cursor.fetchall())


def _validate_references(table: PartitionedTable) -> None:
    """Check the rows for foreign keys that were added again. Others read and write meanwhile."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        for referring, name, _, is_valid in _references(cursor, table.name):
            if not is_valid:
                cursor.execute(f'ALTER TABLE {referring} VALIDATE CONSTRAINT "{name}"')


# --- Dropping expired partitions ---------------------------------------------------------------------


def _drop_expired(table: PartitionedTable, now: datetime) -> None:
    """Replace expired partitions by one with the rows that must be kept."""
    if not _expired(table, now):
        return
    with _locked(table) as cursor:
        # The rows must not change before the partitions are dropped.
        cursor.execute(f"LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE")
        if not (expired := _expired(table, now)):
            return
        end, names = expired[-1].end, ", ".join(partition.name for partition in expired)
        kept = f"{_column(cursor, table)} < {end} AND ({table.kept}) LIMIT {MAX_KEPT_ROWS + 1}"
        cursor.execute(f"CREATE TEMPORARY TABLE kept_rows ON COMMIT DROP AS SELECT * FROM {table.name} WHERE {kept}")  # noqa: S608
        if cursor.rowcount > MAX_KEPT_ROWS:
            logger.warning("more than %s old rows of %s must be kept: cannot drop %s", MAX_KEPT_ROWS, table.name, names)
            return
        cursor.execute(f"DROP TABLE {names}")
        cursor.execute(_create(table.name, None, end))
        cursor.execute(f"INSERT INTO {table.name} SELECT * FROM kept_rows")  # noqa: S608 (names of tables)
    logger.info("dropped partitions %s", names)


def _expired(table: PartitionedTable, now: datetime) -> list[Partition]:
    """Return the partitions that are too old, if any of them has rows that need not be kept, or is not the first."""
    if table.retention is None:
        return []
    limit = first_id_at(now - table.retention)
    expired = [one for one in fetch_partitions(table.name) if one.end is not None and one.end <= limit]
    if len(expired) == 1:  # from the last time
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {expired[0].name} WHERE NOT ({table.kept}))")  # noqa: S608
            return expired if cursor.fetchone()[0] else []
    return expired


# --- Shared ------------------------------------------------------------------------------------------


def _analyze(table: PartitionedTable) -> None:
    """Update the planner's statistics of all partitions together, for joins. Autovacuum updates those of each."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_WAS_ANALYZED_SQL, [table.name, ANALYZE_INTERVAL])
        if not cursor.fetchone()[0]:
            cursor.execute(f"ANALYZE ONLY {table.name}")


@contextmanager
def _locked(table: PartitionedTable) -> Iterator[CursorWrapper]:
    """Begin a transaction that may change a table's partitions. Raises _IsBusy if another process has one."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        if not try_acquire(f"partitions:{table.name}"):
            raise _IsBusy
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        yield cursor


def _create(table: str, start: int | None, end: int | None) -> str:
    """Return the SQL that creates a partition, named after its first day."""
    name = f"{table}_first" if start is None else f"{table}_{timestamp_of_id(start):%Y%m%d}"
    return f"CREATE TABLE {name} PARTITION OF {table} {_bounds(start, end)}"


def _bounds(start: int | None, end: int | None) -> str:
    lower, upper = "MINVALUE" if start is None else start, "MAXVALUE" if end is None else end
    return f"FOR VALUES FROM ({lower}) TO ({upper})"


def _column(cursor: CursorWrapper, table: PartitionedTable) -> str:
    """Return the column whose ranges are the partitions."""
    cursor.execute(_COLUMN_SQL, [table.name])
    return str(cursor.fetchone()[0])
