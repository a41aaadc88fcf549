"""Read-through caches that never store what an invalidation has made stale: byte values, and sets of ids.

The race: a reader loads a row, a writer changes it and deletes the key, then the reader stores the old row, which
stays until its TTL. To prevent this, a reader that misses first takes a *lease*: the key itself holds the reader's
token for a moment. A fill stores its value only if the token is still there. An invalidation deletes the key and
the lease with it. (The idea is Facebook's: "Scaling Memcache at Facebook", NSDI 2013.) A set cannot hold a token, so
its lease is a key of its own, which an invalidation must name as well: see `id_set_keys`.

Values are loaded from the primary, because a replica may lag behind the invalidation. Absent things are cached
too, as an empty value: a timeline that still lists a deleted post costs no SQL.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import repeat

from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command, Script
from instafeed.core.observability.metrics import CACHE_READS

_LEASE_PREFIX = b"\x00"  # no JSON value begins with it

# Returns the values that appeared meanwhile, and leases the keys that are still absent. A key that holds another
# reader's lease is left alone: the second reader loads the value for itself and stores nothing.
_acquire_leases = Script("""
local values = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do
    if not values[i] then
        redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    end
end
return values
""")
_fill_leased = Script("""
for i, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then
        redis.call('SET', key, ARGV[i + 2], 'EX', ARGV[2])
    end
end
""")
_fill_leased_id_set = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
for i = 3, #ARGV, 1000 do
    redis.call('SADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('SADD', KEYS[1], '0')
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
""")

Loader = Callable[[Sequence[int]], Mapping[int, bytes]]


class ReadThroughCache:
    """One kind of cached value, by integer id.

    `load(ids)` gets the missing ids in one call, must read the primary, and leaves out ids that do not exist. Its
    values are not empty. `can_cache_absence(id)` is False for ids that may come to exist without an invalidation:
    their absence is not cached. A warm read costs one MGET, a miss two more round trips and one `load`. While
    Redis is down every value is loaded.
    """

    def __init__(
        self,
        key_of: Callable[[int], str],
        load: Loader,
        ttl: int,
        can_cache_absence: Callable[[int], bool] = lambda id_: True,
    ) -> None:
        self.key_of = key_of
        self.load = load
        self.ttl = ttl  # seconds
        self.can_cache_absence = can_cache_absence
        kind = keys.kind(key_of(0))
        self._hits, self._misses, self._bypassed = (
            CACHE_READS.labels(kind, result) for result in ("hit", "miss", "bypassed")
        )

    def get(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return the values of those `ids` that exist."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        try:
            (raw,) = commands.run([self.read_command(wanted)])
        except CacheUnavailable:
            self._bypassed.inc(len(wanted))
            return dict(self.load(wanted))
        return self.fill_misses(wanted, raw)

    def read_command(self, ids: Iterable[int]) -> Command:
        """Return the command that reads these ids, at least one, for `fill_misses`."""
        return ("MGET", *[self.key_of(id_) for id_ in ids])

    def fill_misses(self, ids: Sequence[int], raw: Sequence[bytes | None]) -> dict[int, bytes]:
        """Do what `get` does, with the reply `raw` to `read_command(ids)`."""
        found = dict(zip(ids, raw, strict=True))
        missing = [id_ for id_, value in found.items() if _is_missing(value)]
        self._hits.inc(len(found) - len(missing))
        if missing:
            self._misses.inc(len(missing))
            found.update(self._load_with_leases(missing))
        return {id_: value for id_, value in found.items() if value}

    def _load_with_leases(self, missing: Sequence[int]) -> Mapping[int, bytes]:
        """Load `missing`, and store the values of the keys that this call leased. Absent ids get an empty value."""
        token = _LEASE_PREFIX + secrets.token_bytes(9)
        try:
            raw = self._acquire_leases(token, missing)
        except CacheUnavailable:
            return {**dict.fromkeys(missing, b""), **self.load(missing)}
        appeared = {id_: value for id_, value in raw.items() if value is not None and not _is_missing(value)}
        loaded = self.load([id_ for id_ in missing if id_ not in appeared])
        leased = [id_ for id_, value in raw.items() if value is None]
        self._fill(token, {id_: loaded.get(id_, b"") for id_ in leased if id_ in loaded or self.can_cache_absence(id_)})
        return {**dict.fromkeys(missing, b""), **appeared, **loaded}

    def _acquire_leases(self, token: bytes, missing: Sequence[int]) -> dict[int, bytes | None]:
        """Return the reply of the script for each id. Raises CacheUnavailable.

        An id on a server, of several, that is down counts as leased by another reader.
        """
        parts = keys.group_by_bucket(missing)
        replies = commands.run_guarded_where_possible(
            [_acquire_leases.command([self.key_of(id_) for id_ in ids], [token, keys.LEASE_TTL_MS]) for ids in parts]
        )
        values: dict[int, bytes | None] = {}
        for ids, reply in zip(parts, replies, strict=True):
            values |= zip(ids, repeat(_LEASE_PREFIX) if isinstance(reply, Exception) else reply, strict=False)
        return values

    def _fill(self, token: bytes, values: Mapping[int, bytes]) -> None:
        if not values:
            return
        stores = [
            _fill_leased.command([self.key_of(id_) for id_ in ids], [token, self.ttl, *map(values.__getitem__, ids)])
            for ids in keys.group_by_bucket(values)
        ]
        with suppress(CacheUnavailable):  # the lease expires on its own
            commands.run(stores)


def _is_missing(value: bytes | None) -> bool:
    return value is None or value.startswith(_LEASE_PREFIX)


def fill_id_set(key: str, load: Callable[[], Iterable[int]], ttl: int) -> bool:
    """Load a set of ids into Redis, with 0 as the mark of a complete set, for `ttl` seconds.

    `load` must read the primary. Return False if another process is loading the set, or if it was invalidated
    meanwhile. Raises redis.RedisError.
    """
    token = secrets.token_hex(8)
    (leased,) = commands.run_unguarded([lease_id_set_command(key, token)])
    if not leased:
        return False
    (stored,) = commands.run_unguarded([fill_id_set_command(key, token, load(), ttl)])
    return bool(stored)


def lease_id_set_command(key: str, token: str) -> Command:
    """Return the first command of `fill_id_set`. Its reply is None if another process is loading the set."""
    return ("SET", keys.lease(key), token, "PX", keys.LEASE_TTL_MS, "NX")


def fill_id_set_command(key: str, token: str, ids: Iterable[int], ttl: int) -> Command:
    """Return the last command of `fill_id_set`. Its reply is 0 if the lease was lost."""
    return _fill_leased_id_set.command([key, keys.lease(key)], [token, ttl, *ids])


def id_set_keys(key: str) -> tuple[str, str]:
    """Return the keys to delete when a cached set of ids becomes stale."""
    return key, keys.lease(key)
