"""Read-through caching of byte values that can never store what an invalidation has overtaken.

The trap: a reader loads a row, a writer changes it and deletes the key, then the reader stores the old
row, which stays until its TTL. So a reader that misses takes a *lease* first: the key itself holds its
token for a moment. Filling compares: only while the token is still there is the value stored. An
invalidation deletes the key and with it the lease. (The idea is Facebook's, "Scaling Memcache at
Facebook", NSDI 2013.)

Values are loaded from the primary: a replica may lag behind the very invalidation. An absent thing is
cached too, as an empty value: a feed that still lists a deleted post costs no SQL.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, guarded_client
from instafeed.core.cache.lua import Script
from instafeed.core.observability.metrics import CACHE_READS

_LEASE_PREFIX = b"\x00"  # no JSON value begins with it

# Values that appeared meanwhile, and leases for those still absent. A key with someone else's lease stays
# as it is: its reader loads the value for itself and stores nothing.
_acquire_leases = Script("""
local values = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do
    if not values[i] then
        redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    end
end
return values
""")
_fill = Script("""
for i, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then
        redis.call('SET', key, ARGV[i + 2], 'EX', ARGV[2])
    end
end
""")

Loader = Callable[[Sequence[int]], Mapping[int, bytes]]


class ReadThroughCache:
    """A family of cached values by integer id.

    `load` gets the missing ids in one call, must read the primary, and leaves out what does not exist; its
    values are not empty. `stays_absent(id)` is False for what may come to exist without an invalidation: that
    it is absent is not remembered. Warm reads cost one MGET; a miss two more round trips and one `load`. While Redis
    is away everything is loaded.
    """

    def __init__(
        self,
        key_of: Callable[[int], str],
        load: Loader,
        ttl: int,
        stays_absent: Callable[[int], bool] = lambda id_: True,
    ) -> None:
        self.key_of = key_of
        self.load = load
        self.ttl = ttl  # seconds
        self.stays_absent = stays_absent
        kind = keys.kind(key_of(0))
        self._hits, self._misses, self._bypassed = (
            CACHE_READS.labels(kind, result) for result in ("hit", "miss", "bypassed")
        )

    def get(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Values of those of `ids` that exist."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        try:
            with guarded_client() as client:
                raw: Any = client.mget([self.key_of(id_) for id_ in wanted])
        except CacheUnavailable:
            self._bypassed.inc(len(wanted))
            return dict(self.load(wanted))
        return self.complete(wanted, raw)

    def complete(self, ids: Sequence[int], raw: Sequence[bytes | None]) -> dict[int, bytes]:
        """The same, where the caller has fetched `raw` by MGET, as part of a pipeline perhaps."""
        found = dict(zip(ids, raw, strict=True))
        missing = [id_ for id_, value in found.items() if _is_missing(value)]
        self._hits.inc(len(found) - len(missing))
        if missing:
            self._misses.inc(len(missing))
            found.update(self._load(missing))
        return {id_: value for id_, value in found.items() if value}

    def _load(self, missing: Sequence[int]) -> Mapping[int, bytes]:
        token = _LEASE_PREFIX + secrets.token_bytes(9)
        names = [self.key_of(id_) for id_ in missing]
        try:
            with guarded_client() as client:
                raw = _acquire_leases(client, names, [token, keys.LEASE_TTL_MS])
        except CacheUnavailable:
            return self.load(missing)
        values: dict[int, bytes] = {
            id_: value for id_, value in zip(missing, raw, strict=True) if not _is_missing(value)
        }
        loaded = self.load([id_ for id_ in missing if id_ not in values])
        leased = [id_ for id_, value in zip(missing, raw, strict=True) if value is None]
        if leased:
            known = {id_: loaded.get(id_, b"") for id_ in leased if id_ in loaded or self.stays_absent(id_)}
            self._fill(token, {self.key_of(id_): value for id_, value in known.items()})
        return {
            **values,
            **loaded,
            **{id_: b"" for id_ in missing if id_ not in values and id_ not in loaded},
        }

    def _fill(self, token: bytes, values: Mapping[str, bytes]) -> None:
        if not values:
            return
        try:
            with guarded_client() as client:
                _fill(client, list(values), [token, self.ttl, *values.values()])
        except CacheUnavailable:
            pass  # the lease expires by itself


def _is_missing(value: bytes | None) -> bool:
    return value is None or value.startswith(_LEASE_PREFIX)
