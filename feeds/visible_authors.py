"""The authors whose posts a viewer sees, and the celebrities, as two kinds of sets cached in Redis.

`sources:{viewer}` holds the viewer and the viewer's followees, without those muted or blocked. `celebrities` holds
every author who is not ordinary; the followers pull their posts. Each set contains 0 as proof that it is complete.
The sets decide what is shown. So they are loaded from the primary and stored under a lease, which an
invalidation ends (see `instafeed.core.cache.read_through`).
"""

from __future__ import annotations

from collections.abc import Iterable

from accounts.models import CelebrityState, User
from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command
from instafeed.core.cache.read_through import fill_id_set, fill_id_set_command, id_set_keys, lease_id_set_command
from social import selectors


def load(viewer_id: int) -> dict[int, int]:
    """Query the database for the celebrity state of each visible author, the viewer included."""
    return dict(selectors.fetch_visible_authors(viewer_id))


def get_ids(viewer_id: int) -> list[int]:
    """Return the ids of the visible authors, from Redis if they are cached."""
    try:
        (members,) = commands.run([("SMEMBERS", keys.visible_authors(viewer_id))])
        ids = set(map(int, members))
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


def load_celebrities() -> list[int]:
    """Query the database for the authors whose posts are pulled."""
    pulled = User.objects.using("default").exclude(celebrity_state=CelebrityState.ORDINARY)
    return list(pulled.values_list("pk", flat=True))


def lease_command(viewer_id: int, token: str) -> Command:
    """Return the command that leases the cached set, before `load`. Its reply is None if another process has it."""
    return lease_id_set_command(keys.visible_authors(viewer_id), token)


def fill_command(viewer_id: int, token: str, author_ids: Iterable[int]) -> Command:
    """Return the command that stores the authors, if this token still has the lease."""
    return fill_id_set_command(keys.visible_authors(viewer_id), token, author_ids, keys.VISIBLE_AUTHORS_TTL)


def celebrity_cache_keys() -> list[str]:
    """Return the keys to delete when an author's celebrity state changes: all copies of the set, and their leases."""
    return [key for bucket in keys.all_buckets() for key in id_set_keys(keys.celebrities(bucket))]


def fill_celebrities(bucket: int) -> bool:
    """Load the copy of the celebrity set for the viewers of a bucket into Redis.

    Return False if another process is loading it, or if it was invalidated meanwhile.
    """
    return fill_id_set(keys.celebrities(bucket), load_celebrities, keys.CELEBRITIES_TTL)


def home_timeline_keys(viewer_ids: Iterable[int]) -> list[str]:
    """Return the keys to delete when these viewers follow, unfollow, block or mute.

    These are the home timeline, the visible authors, and their lease.
    """
    names = []
    for viewer_id in viewer_ids:
        names += [keys.home_timeline(viewer_id), *id_set_keys(keys.visible_authors(viewer_id))]
    return names
