"""What a viewer has liked and saved: the flags on every post that is shown to them.

Cached a viewer: the newest posts among those they liked, and among those they saved, each down to a floor.
Older posts are looked up in the database. A like or a save drops the viewer's entry.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from instafeed import keys
from instafeed.invalidation import invalidate
from instafeed.leases import ReadThrough
from posts.models import Like, Save

KEPT = 500  # post ids of each kind a viewer: 4 kB
_TAG = b"m"  # an entry must not begin with the mark of a lease


@dataclass(frozen=True, slots=True)
class Marks:
    """Post ids among those that were asked for."""

    liked: frozenset[int] = frozenset()
    saved: frozenset[int] = frozenset()


def of(viewer_id: int | None, post_ids: Iterable[int]) -> Marks:
    """Which of these posts the viewer has liked and saved; one round trip when warm."""
    if viewer_id is None:
        return Marks()
    return complete(viewer_id, post_ids, marks.get([viewer_id]).get(viewer_id))


def complete(viewer_id: int, post_ids: Iterable[int], entry: bytes | None) -> Marks:
    """The same from the viewer's entry; at most two queries, for posts older than the entry goes back."""
    wanted = set(post_ids)
    if not entry:
        return Marks()  # the viewer is gone
    packed = array("q", entry[len(_TAG) :])
    liked_floor, saved_floor, liked_count = packed[:3]
    liked, saved = packed[3 : 3 + liked_count], packed[3 + liked_count :]
    return Marks(
        _among(Like, viewer_id, wanted, liked, liked_floor), _among(Save, viewer_id, wanted, saved, saved_floor)
    )


def forget(viewer_id: int) -> None:
    """Drop the viewer's entry once the current transaction commits."""
    invalidate([keys.marks(viewer_id)])


def _among(model: type[Model], viewer_id: int, wanted: set[int], known: Iterable[int], floor: int) -> frozenset[int]:
    found = wanted.intersection(known)
    if older := [post_id for post_id in wanted if post_id < floor]:
        rows = model._default_manager.using(DEFAULT_DB_ALIAS).filter(user_id=viewer_id, post_id__in=older)
        found.update(rows.values_list("post_id", flat=True))
    return frozenset(found)


def _load(viewer_ids: Sequence[int]) -> dict[int, bytes]:
    return {viewer_id: _TAG + _pack(viewer_id) for viewer_id in viewer_ids}


def _pack(viewer_id: int) -> bytes:
    liked_floor, liked = _newest(Like, viewer_id)
    saved_floor, saved = _newest(Save, viewer_id)
    return array("q", [liked_floor, saved_floor, len(liked), *liked, *saved]).tobytes()


def _newest(model: type[Model], viewer_id: int) -> tuple[int, list[int]]:
    """The floor, 0 if these are all there are, and the newest posts."""
    rows: Any = model._default_manager.using(DEFAULT_DB_ALIAS).filter(user_id=viewer_id).order_by("-post_id")
    ids = list(rows.values_list("post_id", flat=True)[: KEPT + 1])
    return (ids[KEPT - 1], ids[:KEPT]) if len(ids) > KEPT else (0, ids)


marks = ReadThrough(keys.marks, _load, keys.MARKS_TTL)
