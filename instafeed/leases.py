"""Read-through caching of byte values that can never store what an invalidation has overtaken.

The trap: a reader loads a row, a writer changes it and deletes the key, then the reader stores the old
row, which stays until its TTL. So a reader that misses is given a *lease*: the key itself holds its token for a
moment. Filling compares: only while the token is still there is the value stored. An invalidation
deletes the key and with it the lease. (The idea is Facebook's, "Scaling Memcache", NSDI 2013.)

Values are loaded from the primary: a replica may lag behind the very invalidation. An absent thing is
cached too, as an empty value: a feed that still lists a deleted post costs no SQL.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence

import redis

from instafeed import keys
from instafeed.redis import CacheUnavailable, guarded

_LEASE_MARK = b"\x00"  # no JSON value begins with it

# One round trip: values for what is there, a lease for what is not. A key that holds someone else's lease
# stays as it is; its reader loads the value for itself and stores nothing.
_TAKE = """
local values = redis.call('MGET', unpack(KEYS))
for i, key in ipairs(KEYS) do
    if not values[i] then
        redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    end
end
return values
"""
_FILL = """
for i, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then
        redis.call('SET', key, ARGV[i + 2], 'EX', ARGV[2])
    end
end
"""
_take = redis.client.Script(redis.Redis(), _TAKE)
_fill = redis.client.Script(redis.Redis(), _FILL)

type_Loader = Callable[[Sequence[int]], Mapping[int, bytes]]


def read_through(
    ids: Iterable[int], key_of: Callable[[int], str], load: type_Loader, ttl: int
) -> dict[int, bytes]:
    """Values for `ids`, from Redis where they are and from `load` where not.

    `load` gets the missing ids in one call, must read the primary, and leaves out what does not exist.
    Absent things are absent from the answer too. When Redis is away everything is loaded.
    Costs one round trip when warm, two and one `load` otherwise.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    token = _LEASE_MARK + secrets.token_bytes(9)
    try:
        with guarded() as client:
            cached = _take([key_of(id_) for id_ in wanted], [token, keys.LEASE_TTL_MS], client=client)
    except CacheUnavailable:
        return dict(load(wanted))
    found = dict(zip(wanted, cached, strict=True))
    missing = [id_ for id_, value in found.items() if value is None or value.startswith(_LEASE_MARK)]
    if missing:
        loaded = load(missing)
        _store({key_of(id_): loaded.get(id_, b"") for id_ in missing if found[id_] is None}, token, ttl)
        found.update({id_: loaded.get(id_, b"") for id_ in missing})
    return {id_: value for id_, value in found.items() if value}


def _store(values: Mapping[str, bytes], token: bytes, ttl: int) -> None:
    if not values:
        return
    try:
        with guarded() as client:
            _fill(list(values), [token, ttl, *values.values()], client=client)
    except CacheUnavailable:
        pass  # the lease expires by itself
