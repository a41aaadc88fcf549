"""Read-your-writes: how far a replica must be before a user may read from it.

After a request that wrote, the primary's position is stored for its user. Until all replicas have passed
it, that user reads only from those that have. Positions are decimal texts of fixed width: Lua's numbers
hold 53 bits, its strings compare byte by byte.

That Redis has no position for a user proves something only if it cannot have lost one. So there is a
*floor* that every replica must have passed as well: whoever finds none (Redis was flushed or replaced) sets
it to the primary's position of now, after all that was lost. A process that failed to store a position
drops the floor as soon as Redis is back. What remains: another process may read for that user in
between, and a Redis that evicts keys may evict positions.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

import redis
from django.conf import settings
from django.db import Error, connections

from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, get_client, guarded_client
from instafeed.core.cache.lua import Script
from instafeed.core.db.replicas import wal
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.db.replicas.session import Session
from instafeed.core.observability.metrics import REPLICA_CHOICES

logger = logging.getLogger(__name__)

# A replica is used while its proof is younger than REPLICA_MAX_LAG, and a proof of that age must be younger
# than any write whose position is gone already.
TTL_MARGIN = 10  # seconds: clocks of Redis and of this process, a request's own duration

_store_if_newer = Script("""
for _, key in ipairs(KEYS) do
    local stored = redis.call('GET', key)
    if not stored or stored < ARGV[1] then
        redis.call('SET', key, ARGV[1], 'EX', ARGV[2])
    end
end
""")
_delete_if_same = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
""")


class _FloorState:
    doubtful = False  # a position may be missing from Redis without Redis having been emptied


def record_write_position(session: Session) -> None:
    """Store the primary's position for the users of a request that wrote. Call it after the last commit and
    before the answer leaves; it never raises for a server that is away."""
    if not settings.REPLICA_ALIASES or not session.users or not _may_have_written(session):
        return
    try:
        position = wal.primary_position()
    except Error as error:
        logger.warning("the position of a write is unknown: %s", error)
        _FloorState.doubtful = True
        return
    try:
        # Not guarded(): a breaker that rests after a hiccup would lose the position of a Redis that is well.
        store_position(get_client(), session.users, position)
    except redis.RedisError as error:
        logger.warning("the position of a write could not be stored: %s", error)
        _FloorState.doubtful = True


def store_position(client: redis.Redis, users: Collection[int], position: int) -> None:
    """Keep the greater of the stored position and this one. Raises redis.RedisError."""
    _store_if_newer(client, [keys.wal_position(user) for user in users], [_encode_position(position), _position_ttl()])


def choose_replica(session: Session) -> str | None:
    """A replica that holds all that this session's user wrote, any of them; None: the primary.

    Costs nothing for a request without user, one round trip to Redis for one that wrote nothing lately,
    and one question to each replica for one that did.
    """
    choice, reason = _choose_with_reason(session.user_id, monitor.usable())
    REPLICA_CHOICES.labels("replica" if choice else "primary", reason).inc()
    return choice


def _choose_with_reason(user_id: int | None, candidates: list[str]) -> tuple[str | None, str]:
    """The choice and, for the metrics, why."""
    if not candidates:
        return None, "none_usable" if settings.REPLICA_ALIASES else "off"
    if user_id is None:
        return candidates[0], "nobody"
    try:
        own, floor = _required_positions(user_id)
    except (CacheUnavailable, redis.RedisError, Error):
        _FloorState.doubtful = True  # others' positions may not have been stored either
        return None, "no_redis"
    if own is None:
        return next((alias for alias in candidates if monitor.has_replayed(alias, floor)), None), "not_stuck"
    passed = [alias for alias in candidates if _has_passed(alias, max(own, floor))]
    if set(passed) == set(settings.REPLICA_ALIASES):
        forget_position(user_id, own)
    return (passed[0] if passed else None), "stuck"


def forget_position(user_id: int, position: int) -> None:
    """Forget the position that all replicas have passed, unless a newer one has taken its place."""
    try:
        with guarded_client() as client:
            _delete_if_same(client, [keys.wal_position(user_id)], [_encode_position(position)])
    except (CacheUnavailable, redis.RedisError):
        pass  # it expires by itself


def _required_positions(user_id: int) -> tuple[int | None, int]:
    """The user's position, if any, and the floor. Raises CacheUnavailable, RedisError, django.db.Error."""
    with guarded_client() as client:
        if _FloorState.doubtful:
            client.delete(keys.WAL_FLOOR)
            _FloorState.doubtful = False
        own, floor = client.mget(keys.wal_position(user_id), keys.WAL_FLOOR)
        if floor is None:
            floor = _encode_position(wal.primary_position())
            client.set(keys.WAL_FLOOR, floor, ex=keys.WAL_FLOOR_TTL, nx=True)
    return None if own is None else int(own), int(floor)


def _has_passed(alias: str, position: int) -> bool:
    replayed = wal.replayed_position(alias)
    return replayed is not None and replayed >= position


def _may_have_written(session: Session) -> bool:
    """Raw SQL passes no router, so an unsafe request that opened the primary counts as one that wrote. Inside
    a transaction around the whole request (a test's) nothing is committed, and no position proves it."""
    primary = connections["default"]
    if primary.in_atomic_block:
        return False
    return session.written or (session.unsafe and primary.connection is not None)


def _position_ttl() -> int:
    return int(max(keys.WAL_POSITION_TTL, settings.REPLICA_MAX_LAG + TTL_MARGIN))


def _encode_position(position: int) -> str:
    return f"{position:020d}"
