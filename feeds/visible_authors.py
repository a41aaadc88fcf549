"""The authors whose posts a viewer sees, and the celebrities, as two kinds of sets cached in Redis.

`sources:{viewer}` holds the viewer and the viewer's followees, without those muted or blocked. `celebrities` holds
every author who is not ordinary; the followers pull their posts. Each set contains 0 as proof that it is complete.
The sets decide what is shown. So they are loaded from the primary and stored under a lease, which an
invalidation ends (see `instafeed.core.cache.read_through`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from accounts.models import CelebrityState, User
from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, get_client, guarded_client
from instafeed.core.cache.lua import Script
from social import selectors

CELEBRITY_CACHE_KEYS = (keys.CELEBRITIES, keys.lease(keys.CELEBRITIES))

_fill_script = Script("""
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


def load(viewer_id: int) -> dict[int, int]:
    """Query the database for the celebrity state of each visible author, the viewer included."""
    return dict(selectors.fetch_visible_authors(viewer_id))


def get_ids(viewer_id: int) -> list[int]:
    """Return the ids of the visible authors, from Redis if they are cached."""
    try:
        with guarded_client() as client:
            ids = {int(member) for member in client.smembers(keys.visible_authors(viewer_id))}
    except CacheUnavailable:
        ids = set()
    return sorted(ids - {0}) if 0 in ids else sorted(load(viewer_id))


def exclude_inactive(author_ids: list[int]) -> list[int]:
    """Return the authors whose accounts are active, so that a page need not skip thousands of hidden posts.

    Use it for queries whose result is not cached. A cached timeline keeps the posts of a suspended author, who may
    be reinstated.
    """
    inactive = User.objects.using("default").filter(pk__in=author_ids, is_active=False)
    inactive_ids = set(inactive.values_list("pk", flat=True))
    return [author_id for author_id in author_ids if author_id not in inactive_ids]


def fill(viewer_id: int) -> bool:
    """Load a viewer's visible authors into Redis.

    Return False if another process is loading them, or if they were invalidated meanwhile.
    """
    key = keys.visible_authors(viewer_id)
    token = _acquire_lease(key)
    return token is not None and store_under_lease(key, token, keys.VISIBLE_AUTHORS_TTL, load(viewer_id))


def fill_celebrities() -> bool:
    """Load the celebrity set into Redis. Return False under the same conditions as `fill`."""
    token = _acquire_lease(keys.CELEBRITIES)
    if token is None:
        return False
    pulled = User.objects.using("default").exclude(celebrity_state=CelebrityState.ORDINARY)
    author_ids = pulled.values_list("pk", flat=True)
    return store_under_lease(keys.CELEBRITIES, token, keys.CELEBRITIES_TTL, author_ids)


def home_timeline_keys(viewer_ids: Iterable[int]) -> list[str]:
    """Return the keys to delete when these viewers follow, unfollow, block or mute.

    These are the home timeline, the visible authors, and their lease.
    """
    names = []
    for viewer_id in viewer_ids:
        authors_key = keys.visible_authors(viewer_id)
        names += [keys.home_timeline(viewer_id), authors_key, keys.lease(authors_key)]
    return names


def store_under_lease(key: str, token: str, ttl: int, ids: Iterable[int]) -> bool:
    """Store a complete set if the lease still has this token. Return False if an invalidation ended it."""
    return bool(_fill_script(get_client(), [key, keys.lease(key)], [token, ttl, *ids]))


def _acquire_lease(key: str) -> str | None:
    token = secrets.token_hex(8)
    return token if get_client().set(keys.lease(key), token, px=keys.LEASE_TTL_MS, nx=True) else None
