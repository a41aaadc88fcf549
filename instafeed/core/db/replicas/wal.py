"""Positions in the write-ahead log: the primary's newest, and how far a replica has replayed. As integers.

A commit is on a replica once the replica has replayed past its commit record. The *insert* position read
after a commit returned is never before that record: with `synchronous_commit=off` the write and flush
positions may still be. It may lie past records of others, which only makes the proof stricter.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections

from instafeed.core.db.replicas.timeout_connection import query_row

# When the last record ends exactly at a page's end, the insert position is already behind the next page's
# header (24 bytes), while a replica that has replayed everything says the page's end: an idle primary
# would seem ahead until its next record. The clock is read first: all that was committed by then is
# before the position.
PRIMARY_POSITION_SQL = """
SELECT moment, lsn - CASE WHEN lsn % block = 24 THEN 24 ELSE 0 END
FROM (
    SELECT clock_timestamp() AS moment,
           pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS lsn,
           current_setting('wal_block_size')::bigint AS block
) AS now
"""
# NULL from a server that is no replica (any more): it proves nothing.
REPLAYED_POSITION_SQL = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END
"""


@dataclass(frozen=True, slots=True)
class WalSample:
    """The primary's position at a moment: whoever has replayed it holds all that was committed by then."""

    position: int
    moment: datetime  # by the primary's clock, as ids are
    taken_at: float  # time.monotonic(), from before the question


def sample_primary() -> WalSample:
    """Over a bounded connection of its own; psycopg.Error if the primary does not answer."""
    taken_at = time.monotonic()
    moment, position = query_row("default", PRIMARY_POSITION_SQL)
    return WalSample(position, moment, taken_at)


def primary_position() -> int:
    """Over this thread's own connection, so after all that it has committed; django.db.Error."""
    return int(_fetch_row("default", PRIMARY_POSITION_SQL)[1])


def replayed_position(alias: str) -> int | None:
    """How far a replica is, over this thread's own connection. None if it is away: the backend then asks
    the primary, which has no such position."""
    value = _fetch_row(alias, REPLAYED_POSITION_SQL)[0]
    return None if value is None else int(value)


def _fetch_row(alias: str, query: str) -> tuple[Any, ...]:
    with connections[alias].cursor() as cursor:
        cursor.execute(query)
        row: tuple[Any, ...] = cursor.fetchone()
        return row
