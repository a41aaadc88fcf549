"""Whose posts a viewer sees, and which authors are pulled: two kinds of cached sets that reads intersect.

`sources:{viewer}` holds the followees less the muted and the blocked, and the viewer; `celebrities` every
author that is not ordinary. Both carry 0 once they are complete. They decide what is shown, so they are
loaded from the primary and stored under a lease, which an invalidation ends (see instafeed.core.cache.read_through).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from accounts.models import CelebrityState, User
from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, get_client, guarded_client
from instafeed.core.cache.lua import Script
from social import selectors

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
    """From the database: celebrity state by author, the viewer included."""
    return dict(selectors.fetch_visible_authors(viewer_id))


def get_ids(viewer_id: int) -> list[int]:
    """The authors of `load`, from Redis where they are; for pulls that go below the lists."""
    try:
        with guarded_client() as client:
            ids = {int(member) for member in client.smembers(keys.visible_authors(viewer_id))}
    except CacheUnavailable:
        ids = set()
    return sorted(ids - {0}) if 0 in ids else sorted(load(viewer_id))


def exclude_inactive(author_ids: list[int]) -> list[int]:
    """Without those who have no access now: a page must not wade through thousands of posts that nobody may see.

    For pulls whose result is not kept; a rebuilt list holds them, for the day they are back.
    """
    inactive = User.objects.using("default").filter(pk__in=author_ids, is_active=False)
    gone = set(inactive.values_list("pk", flat=True))
    return [author_id for author_id in author_ids if author_id not in gone]


def fill(viewer_id: int) -> bool:
    """Load the viewer's sources into Redis; False when somebody else does, or they changed meanwhile."""
    key = keys.visible_authors(viewer_id)
    token = _acquire_lease(key)
    return token is not None and _store_under_lease(key, token, keys.VISIBLE_AUTHORS_TTL, load(viewer_id))


def fill_celebrities() -> bool:
    """Load the set of authors that are pulled into Redis; False as above."""
    token = _acquire_lease(keys.CELEBRITIES)
    if token is None:
        return False
    moving = User.objects.using("default").exclude(celebrity_state=CelebrityState.ORDINARY)
    return _store_under_lease(keys.CELEBRITIES, token, keys.CELEBRITIES_TTL, moving.values_list("pk", flat=True))


def _store_under_lease(key: str, token: str, ttl: int, ids: Iterable[int]) -> bool:
    return bool(_fill_script(get_client(), [key, keys.lease(key)], [token, ttl, *ids]))


def _acquire_lease(key: str) -> str | None:
    token = secrets.token_hex(8)
    return token if get_client().set(keys.lease(key), token, px=keys.LEASE_TTL_MS, nx=True) else None


def home_feed_keys(viewer_ids: Iterable[int]) -> list[str]:
    """What to drop when these viewers follow, unfollow, block or mute: their sources and their feeds."""
    names = []
    for viewer_id in viewer_ids:
        sources = keys.visible_authors(viewer_id)
        names += [keys.home_timeline(viewer_id), sources, keys.lease(sources)]
    return names


CELEBRITY_CACHE_KEYS = [keys.CELEBRITIES, keys.lease(keys.CELEBRITIES)]
