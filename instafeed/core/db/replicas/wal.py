"""Positions in the write-ahead log, and what a replica must be to prove anything by its position.

A replica has a commit once it has replayed past the commit's record. The *insert* position, read after a commit
returned, is never before that record; with `synchronous_commit=off` the write and flush positions can be. The
insert position may lie after records of other transactions, which only makes the proof stricter.

A position is one integer: the timeline, which each promotion or point-in-time restore increases, then the LSN. So a
position on a later timeline is greater than every position before the promotion, however far the old timeline went on.
Positions of different clusters, or of diverged servers of one cluster, must not be compared: see `find_fault`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connections

from instafeed.core.db.timeout_connection import query_row

_LSN_BITS = 64
_LSN_MASK = (1 << _LSN_BITS) - 1

# If the last record ends exactly at the end of a page, the insert position is already behind the next page's header
# (24 bytes), while a replica that has replayed everything reports the page's end: an idle primary would seem ahead
# until its next record. The clock is read first, so everything committed by then is before the position.
PRIMARY_POSITION_SQL = """
SELECT moment,
       ('x' || left(pg_walfile_name(insert_lsn), 8))::bit(32)::bigint,
       lsn - CASE WHEN lsn % block = 24 THEN 24 ELSE 0 END
FROM (
    SELECT clock_timestamp() AS moment, insert_lsn, pg_wal_lsn_diff(insert_lsn, '0/0')::bigint AS lsn,
           current_setting('wal_block_size')::bigint AS block
    FROM pg_current_wal_insert_lsn() AS insert_lsn
) AS now
"""
_PRIMARY_SAMPLE_SQL = f"""
SELECT position.*, system.system_identifier
FROM ({PRIMARY_POSITION_SQL}) AS position, pg_control_system() AS system
"""  # noqa: S608 (constants)
# The LSN is NULL on a server that is not (or no longer) a replica: it proves nothing.
REPLAYED_LSN_SQL = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END
"""
# Without the role pg_monitor, PostgreSQL shows a WAL receiver's pid only.
REPLICA_STATUS_SQL = f"""
SELECT ({REPLAYED_LSN_SQL}), system.system_identifier, receiver.status, receiver.received_tli, receiver.pid IS NOT NULL
FROM pg_control_system() AS system LEFT JOIN pg_stat_wal_receiver AS receiver ON true
"""  # noqa: S608 (constants)


class Fault(StrEnum):
    """Why a server that answers is not a replica of this primary. Shown in logs and on /health."""

    NOT_A_REPLICA = "it is not a replica"
    OTHER_CLUSTER = "it is a replica of another cluster"
    NOT_STREAMING = "it does not stream from the primary"
    OTHER_TIMELINE = "it is on another timeline than the primary"
    HIDDEN = "its WAL receiver is hidden: grant pg_monitor to the application's role"


@dataclass(frozen=True, slots=True)
class WalSample:
    """The primary's position at a moment. A replica that has replayed it has everything committed by that moment."""

    position: int
    moment: datetime  # by the primary's clock, like ids
    taken_at: float  # time.monotonic(), before the query
    system_identifier: int

    @property
    def timeline(self) -> int:
        return timeline_of(self.position)

    @property
    def lsn(self) -> int:
        return self.position & _LSN_MASK


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What a replica tells about itself."""

    lsn: int | None  # replayed; None: not in recovery
    system_identifier: int
    receiver_status: str | None  # of its WAL receiver
    timeline: int | None  # that it receives; None without a WAL receiver
    has_receiver: bool


def sample_primary() -> WalSample:
    """Sample the primary's position over a new connection with a timeout. Raises psycopg.Error."""
    taken_at = time.monotonic()
    moment, timeline, lsn, system_identifier = query_row("default", _PRIMARY_SAMPLE_SQL)
    return WalSample(encode_position(timeline, lsn), moment, taken_at, system_identifier)


def fetch_replica_status(alias: str) -> ReplicaStatus:
    """Ask a replica over a new connection with a timeout. Raises psycopg.Error."""
    return ReplicaStatus(*query_row(alias, REPLICA_STATUS_SQL))


def find_fault(replica: ReplicaStatus, primary: WalSample) -> Fault | None:
    """Return why the replica's position proves nothing about this primary; None if it does."""
    if replica.lsn is None:
        return Fault.NOT_A_REPLICA
    if replica.system_identifier != primary.system_identifier:
        return Fault.OTHER_CLUSTER
    if replica.has_receiver and replica.receiver_status is None:
        return Fault.HIDDEN
    if replica.receiver_status != "streaming":
        return Fault.NOT_STREAMING
    return None if replica.timeline == primary.timeline else Fault.OTHER_TIMELINE


def primary_position() -> int:
    """Return the primary's position after everything this thread has committed. Raises django.db.Error."""
    _, timeline, lsn = _fetch_row("default", PRIMARY_POSITION_SQL)
    return encode_position(timeline, lsn)


def replayed_lsn(alias: str) -> int | None:
    """Return the LSN that a replica has replayed, over this thread's connection; None if the replica is down.

    The backend then sends the query to the primary, which has no replayed position.
    """
    value = _fetch_row(alias, REPLAYED_LSN_SQL)[0]
    return None if value is None else int(value)


def encode_position(timeline: int, lsn: int) -> int:
    return timeline << _LSN_BITS | lsn


def timeline_of(position: int) -> int:
    return position >> _LSN_BITS


def has_passed(replayed: int, position: int) -> bool:
    """Return whether a replica that has replayed one position has everything before the other.

    The replica's timeline is that which it receives; it may still replay an older one. So for a position on an older
    timeline its LSN must be past that one's, too.
    """
    return replayed >= position and replayed & _LSN_MASK >= position & _LSN_MASK


def _fetch_row(alias: str, query: str) -> tuple[Any, ...]:
    with connections[alias].cursor() as cursor:
        cursor.execute(query)
        row: tuple[Any, ...] = cursor.fetchone()
        return row
