"""The timelines in Redis: lists of 64-bit post ids, newest first, with a marker of completeness at the tail.

Two kinds share one form: `feed:{viewer}`, what was pushed to a viewer, and `author:{author}`, an author's
own newest posts, which followers of celebrities pull. A list costs about 10 bytes a post; a sorted set
of the same, as most feeds use, 100. The price is that order and completeness are ours to keep:

* only warm lists are written; a push never creates one, or it would hold one post and look complete;
* the marker says above which id the list is complete (`Timeline.floor`), 0 for all of it;
* a feed is unsorted where a delivery came late, so readers sort; an author's list is strictly descending;
* a rebuild claims the key with a token before it reads the database, and stores only under that token.

Raises redis.RedisError when Redis fails; `read` raises CacheUnavailable.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from instafeed import keys
from instafeed.lua import Argument, Script
from instafeed.redis import connection, guarded

_LUA = Path(__file__).parent / "lua"
_COMMON = _LUA / "common.lua"
_push = Script.from_files(_COMMON, _LUA / "push.lua")
_push_sorted = Script.from_files(_COMMON, _LUA / "push_sorted.lua")
_begin = Script.from_files(_LUA / "begin.lua")
_finish = Script.from_files(_COMMON, _LUA / "finish.lua")
_read = Script.from_files(_COMMON, _LUA / "read.lua")

_BUILDING = b"B"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Post ids, descending, and the id above which none is missing (0: none is missing at all)."""

    ids: list[int]
    floor: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Redis holds for one page at one instant; None stands for what is not there."""

    feed: Timeline | None
    has_sources: bool
    has_celebrities: bool
    authors: dict[int, Timeline | None]  # by celebrity followed
    building: frozenset[str]  # keys that somebody rebuilds right now


def _slack() -> int:
    """How much too long a list may grow before it is cut: a tenth."""
    return max(1, settings.FEED_LENGTH // 10)


def push(viewer_ids: Iterable[int], post_id: int) -> int:
    """Put a post into the warm ones among these viewers' feeds, in one call; returns how many were warm."""
    names = [keys.feed(viewer_id) for viewer_id in viewer_ids]
    return int(_push(connection(), names, [post_id, settings.FEED_LENGTH, _slack()])) if names else 0


def push_to_author(author_id: int, post_id: int) -> None:
    """Put a post into the author's own list if that is warm."""
    _push_sorted(connection(), [keys.author(author_id)], [post_id, settings.FEED_LENGTH, _slack()])


def drop(names: Collection[str]) -> None:
    """Make timelines cold; the next read rebuilds them."""
    if names:
        connection().unlink(*names)


def begin_rebuild(key: str) -> str | None:
    """Claim a cold timeline; None when it is warm or somebody else's."""
    token = secrets.token_hex(8)
    return token if _begin(connection(), [key], [token, keys.BUILD_TTL_MS]) else None


def finish_rebuild(key: str, token: str, timeline: Timeline) -> bool:
    """Store what the database says and keep what was pushed since the claim; False if the claim was lost."""
    arguments: list[Argument] = [token, settings.FEED_TTL, settings.FEED_LENGTH, timeline.floor, *timeline.ids]
    return bool(_finish(connection(), [key], arguments))


def read(viewer_id: int, before: int | None, wanted: int) -> Snapshot:
    """All that a page of `wanted` posts below `before` may be made of, in one round trip and at one instant."""
    feed_key = keys.feed(viewer_id)
    with guarded() as client:
        feed, sources, celebrities, *lists = _read(
            client,
            [feed_key, keys.sources(viewer_id), keys.CELEBRITIES],
            [keys.AUTHOR_PREFIX, "" if before is None else before, wanted, settings.FEED_TTL],
        )
    by_author = {int(author): raw for author, raw in zip(lists[::2], lists[1::2], strict=True)}
    building = {keys.author(author) for author, raw in by_author.items() if raw == _BUILDING}
    return Snapshot(
        feed=_parse(feed),
        has_sources=bool(sources),
        has_celebrities=bool(celebrities),
        authors={author: _parse_window(raw) for author, raw in by_author.items()},
        building=frozenset(building | ({feed_key} if feed == _BUILDING else set())),
    )


def peek(key: str) -> Timeline | None:
    """One whole timeline, without prolonging its life; None when cold or being rebuilt."""
    elements: Sequence[bytes] = connection().lrange(key, 0, -1)  # type: ignore[assignment]
    return _parse(b",".join(elements))


def _parse(raw: bytes) -> Timeline | None:
    """A whole list; its last element is the marker. Sorted and without the doubles of repeated deliveries."""
    if not raw or raw.rpartition(b",")[2].startswith(_BUILDING):
        return None
    *ids, marker = map(int, raw.split(b","))
    floor = -marker
    ids.sort(reverse=True)  # nearly in order already, which sort() makes use of and a set would lose
    while ids and ids[-1] <= floor:
        ids.pop()
    return Timeline(list(dict.fromkeys(ids)), floor)


def _parse_window(raw: bytes) -> Timeline | None:
    """Part of a strictly descending list: complete down to its last post, unless the marker came along."""
    if not raw or raw == _BUILDING:
        return None
    ids = list(map(int, raw.split(b",")))
    if ids[-1] > 0:
        return Timeline(ids, ids[-1] - 1)
    return Timeline(ids[:-1], -ids[-1])
