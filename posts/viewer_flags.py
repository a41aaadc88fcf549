"""Which posts a viewer has liked and saved: the `liked` and `saved` flags of every post in a response.

The cache entry of a viewer holds the newest ids that they liked and the newest that they saved, each down to a floor.
Posts with ids below the floor are looked up in the database. A like or a save invalidates the viewer's entry.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.cache.read_through import ReadThroughCache
from posts.models import Like, Save

MAX_CACHED_IDS = 500  # post ids of each kind per viewer: 4 kB
_ENTRY_PREFIX = b"m"  # an entry must not begin with the prefix of a lease


@dataclass(frozen=True, slots=True)
class ViewerFlags:
    """The liked and the saved ones among the requested post ids."""

    liked: frozenset[int] = frozenset()
    saved: frozenset[int] = frozenset()


def get_flags(viewer_id: int | None, post_ids: Iterable[int]) -> ViewerFlags:
    """Return which of these posts the viewer has liked and saved. Takes one round trip when the cache is warm."""
    if viewer_id is None:
        return ViewerFlags()
    return complete_flags(viewer_id, post_ids, cached_flags.get([viewer_id]).get(viewer_id))


def complete_flags(viewer_id: int, post_ids: Iterable[int], entry: bytes | None) -> ViewerFlags:
    """Return the flags from the viewer's cache entry, with at most two queries for posts older than its floors."""
    wanted = set(post_ids)
    if not entry:
        return ViewerFlags()  # the viewer does not exist any more
    packed = array("q", entry[len(_ENTRY_PREFIX) :])
    liked_floor, saved_floor, liked_count = packed[:3]
    liked, saved = packed[3 : 3 + liked_count], packed[3 + liked_count :]
    return ViewerFlags(
        _filter_flagged(Like, viewer_id, wanted, liked, liked_floor),
        _filter_flagged(Save, viewer_id, wanted, saved, saved_floor),
    )


def invalidate_flags(viewer_id: int) -> None:
    """Invalidate the viewer's entry when the current transaction commits."""
    invalidate([keys.viewer_flags(viewer_id)])


def _filter_flagged(
    model: type[Model], viewer_id: int, wanted: set[int], known: Iterable[int], floor: int
) -> frozenset[int]:
    """Return the wanted ids with a row in `model`: from the cached ids, and from the database below the floor."""
    found = wanted.intersection(known)
    if older := [post_id for post_id in wanted if post_id < floor]:
        rows = model._default_manager.using(DEFAULT_DB_ALIAS).filter(user_id=viewer_id, post_id__in=older)
        found.update(rows.values_list("post_id", flat=True))
    return frozenset(found)


def _load_flags(viewer_ids: Sequence[int]) -> dict[int, bytes]:
    return {viewer_id: _ENTRY_PREFIX + _pack(viewer_id) for viewer_id in viewer_ids}


def _pack(viewer_id: int) -> bytes:
    liked_floor, liked = _load_newest_ids(Like, viewer_id)
    saved_floor, saved = _load_newest_ids(Save, viewer_id)
    return array("q", [liked_floor, saved_floor, len(liked), *liked, *saved]).tobytes()


def _load_newest_ids(model: type[Model], viewer_id: int) -> tuple[int, list[int]]:
    """Return the floor and the newest post ids. The floor is 0 if these are all ids."""
    rows: Any = model._default_manager.using(DEFAULT_DB_ALIAS).filter(user_id=viewer_id).order_by("-post_id")
    ids = list(rows.values_list("post_id", flat=True)[: MAX_CACHED_IDS + 1])
    return (ids[MAX_CACHED_IDS - 1], ids[:MAX_CACHED_IDS]) if len(ids) > MAX_CACHED_IDS else (0, ids)


cached_flags = ReadThroughCache(keys.viewer_flags, _load_flags, keys.VIEWER_FLAGS_TTL)
