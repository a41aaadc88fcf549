"""Positions in the write-ahead log, as integers: the primary's newest, and how far a replica has replayed.

A replica has a commit once it has replayed past the commit's record. The *insert* position, read after a commit
returned, is never before that record; with `synchronous_commit=off` the write and flush positions can be. The
insert position may lie after records of other transactions, which only makes the proof stricter.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections

from instafeed.core.db.replicas.timeout_connection import query_row

# If the last record ends exactly at the end of a page, the insert position is already behind the next page's header
# (24 bytes), while a replica that has replayed everything reports the page's end: an idle primary would seem ahead
# until its next record. The clock is read first, so everything committed by then is before the position.
PRIMARY_POSITION_SQL = """
SELECT moment, lsn - CASE WHEN lsn % block = 24 THEN 24 ELSE 0 END
FROM (
    SELECT clock_timestamp() AS moment,
           pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS lsn,
           current_setting('wal_block_size')::bigint AS block
) AS now
"""
# NULL from a server that is not (or no longer) a replica: it proves nothing.
REPLAYED_POSITION_SQL = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END
"""


@dataclass(frozen=True, slots=True)
class WalSample:
    """The primary's position at a moment. A replica that has replayed it has everything committed by that moment."""

    position: int
    moment: datetime  # by the primary's clock, like ids
    taken_at: float  # time.monotonic(), before the query


def sample_primary() -> WalSample:
    """Sample the primary's position over a new connection with a timeout. Raises psycopg.Error."""
    taken_at = time.monotonic()
    moment, position = query_row("default", PRIMARY_POSITION_SQL)
    return WalSample(position, moment, taken_at)


def primary_position() -> int:
    """Return the primary's position after everything this thread has committed. Raises django.db.Error."""
    return int(_fetch_row("default", PRIMARY_POSITION_SQL)[1])


def replayed_position(alias: str) -> int | None:
    """Return a replica's replayed position, over this thread's connection; None if the replica is down.

    The backend then sends the query to the primary, which has no replayed position.
    """
    value = _fetch_row(alias, REPLAYED_POSITION_SQL)[0]
    return None if value is None else int(value)


def _fetch_row(alias: str, query: str) -> tuple[Any, ...]:
    with connections[alias].cursor() as cursor:
        cursor.execute(query)
        row: tuple[Any, ...] = cursor.fetchone()
        return row
