"""Read-your-writes: the WAL position that a replica must have replayed before a user may read from it.

After a request that wrote, the primary's position is stored for its user. Until all replicas have passed that
position, the user reads only from those that have. Positions are stored as decimal texts of fixed width: Lua's
numbers hold 53 bits, while its strings compare byte by byte.

A missing position proves something only if Redis cannot have lost it. So there is also a *floor* that every replica
must have passed. A process that finds no floor (Redis was flushed or replaced) sets it to the primary's current
position, which is after every write whose position was lost. A process that failed to store a position deletes the
floor as soon as Redis is back. The servers of a cluster lose positions one by one, so each bucket of users has its own
floor. Two gaps remain: another process may read for that user in between, and a Redis that
evicts keys may evict positions.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress
from enum import StrEnum

import redis
from django.conf import settings
from django.db import Error, connections

from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Argument, Script
from instafeed.core.db.replicas import wal
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.db.replicas.session import Session
from instafeed.core.observability.metrics import REPLICA_CHOICES

logger = logging.getLogger(__name__)

# A replica is used while its proof is younger than REPLICA_MAX_LAG. A stored position must outlive that age.
TTL_MARGIN = 10  # seconds: clock differences between Redis and this process, and a request's own duration

_store_if_newer = Script("""
local stored = redis.call('GET', KEYS[1])
if not stored or stored < ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
""")
_delete_if_same = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
""")


class ChoiceReason(StrEnum):
    """Why a request reads from a replica or from the primary. The values label metrics."""

    OFF = "off"  # no replica is configured
    NONE_USABLE = "none_usable"  # all replicas are down or lag too far behind
    ANONYMOUS = "nobody"
    NO_RECENT_WRITE = "not_stuck"  # the replica must only have passed the floor
    RECENT_WRITE = "stuck"  # the replica must have passed the user's position too
    NO_REDIS = "no_redis"


# Buckets in which a position may be missing although Redis was not emptied: their floors must be set again.
_uncertain_buckets: set[int] = set()


def record_write_position(session: Session) -> None:
    """Store the primary's position for the user of a request that wrote.

    Call it after the last commit and before the response is sent. It never raises for a server that is down.
    """
    if not settings.REPLICA_ALIASES or session.user_id is None or not _may_have_written(session):
        return
    try:
        position = wal.primary_position()
    except Error as error:
        logger.warning("the position of a write is unknown: %s", error)
        _uncertain_buckets.add(keys.bucket_of(session.user_id))
        return
    try:
        # Unguarded: a circuit breaker that is open after a hiccup would lose a position that Redis can take.
        store_position([session.user_id], position)
    except redis.RedisError as error:
        logger.warning("the position of a write could not be stored: %s", error)
        _uncertain_buckets.add(keys.bucket_of(session.user_id))


def store_position(user_ids: Collection[int], position: int) -> None:
    """Store a position for each user, unless a greater one is stored. Raises redis.RedisError."""
    arguments: list[Argument] = [_encode_position(position), _position_ttl()]
    commands.run_unguarded([_store_if_newer.command([keys.wal_position(user_id)], arguments) for user_id in user_ids])


def choose_replica(session: Session) -> str | None:
    """Return a replica that has everything the session's user wrote; None means the primary.

    Costs nothing for an anonymous request, one round trip to Redis for a user without recent writes, and one
    query to each replica for a user with recent writes.
    """
    choice, reason = _choose_with_reason(session.user_id, monitor.usable())
    REPLICA_CHOICES.labels("replica" if choice else "primary", reason).inc()
    return choice


def _choose_with_reason(user_id: int | None, candidates: list[str]) -> tuple[str | None, ChoiceReason]:
    if not candidates:
        return None, ChoiceReason.NONE_USABLE if settings.REPLICA_ALIASES else ChoiceReason.OFF
    if user_id is None:
        return candidates[0], ChoiceReason.ANONYMOUS
    try:
        own, floor = _required_positions(user_id)
    except (CacheUnavailable, redis.RedisError, Error):
        _uncertain_buckets.add(keys.bucket_of(user_id))  # positions of other users may be missing too
        return None, ChoiceReason.NO_REDIS
    if own is None:
        replica = next((alias for alias in candidates if monitor.has_replayed(alias, floor)), None)
        return replica, ChoiceReason.NO_RECENT_WRITE
    passed = [alias for alias in candidates if _has_passed(alias, max(own, floor))]
    if set(passed) == set(settings.REPLICA_ALIASES):
        forget_position(user_id, own)
    return (passed[0] if passed else None), ChoiceReason.RECENT_WRITE


def forget_position(user_id: int, position: int) -> None:
    """Delete a position that all replicas have passed, unless a newer one has replaced it."""
    with suppress(CacheUnavailable):  # the key expires
        commands.run([_delete_if_same.command([keys.wal_position(user_id)], [_encode_position(position)])])


def reset() -> None:
    """Forget failures to store a position (tests)."""
    _uncertain_buckets.clear()


def _required_positions(user_id: int) -> tuple[int | None, int]:
    """Return the user's position, if any, and the floor.

    Raises CacheUnavailable, redis.RedisError or django.db.Error.
    """
    bucket = keys.bucket_of(user_id)
    floor_key = keys.wal_floor(bucket)
    if bucket in _uncertain_buckets:
        commands.run([("UNLINK", floor_key)])
        _uncertain_buckets.discard(bucket)
    own, floor = commands.run([("GET", keys.wal_position(user_id)), ("GET", floor_key)])
    # After a promotion or a restore, LSNs may be below those of the old timeline for long.
    if floor is None or wal.timeline_of(int(floor)) < monitor.timeline:
        floor = _encode_position(wal.primary_position())
        commands.run([("SET", floor_key, floor, "EX", keys.WAL_FLOOR_TTL)])
    return None if own is None else int(own), int(floor)


def _has_passed(alias: str, position: int) -> bool:
    lsn = wal.replayed_lsn(alias)
    return lsn is not None and wal.has_passed(monitor.replayed_position(alias, lsn), position)


def _may_have_written(session: Session) -> bool:
    """Return whether the request may have committed a write.

    Raw SQL does not pass the router, so an unsafe request that opened the primary counts. Inside a transaction
    around the whole request (in tests) nothing is committed, and no position could prove it.
    """
    primary = connections["default"]
    if primary.in_atomic_block:
        return False
    return session.written or (session.unsafe and primary.connection is not None)


def _position_ttl() -> int:
    return int(max(keys.WAL_POSITION_TTL, settings.REPLICA_MAX_LAG + TTL_MARGIN))


def _encode_position(position: int) -> str:
    return f"{position:030d}"  # 32 bits of timeline, 64 of LSN
