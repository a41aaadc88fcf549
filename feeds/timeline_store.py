"""The timelines in Redis: lists of 64-bit post ids, newest first, with a marker of completeness at the tail.

Two kinds share one form: `feed:{viewer}`, what was pushed to a viewer, and `author:{author}`, an author's
own newest posts, which followers of celebrities pull. A list costs about 10 bytes a post; a sorted set
of the same, as most feeds use, 100. The price is that order and completeness are ours to keep:

* only warm lists are written; a push never creates one, or it would hold one post and look complete;
* the marker says above which id the list is complete (`Timeline.floor`), 0 for all of it;
* a feed is unsorted where a delivery came late, so readers sort; an author's list is strictly descending;
* a rebuild claims the key with a token before it reads the database, and stores only under that token.

Raises redis.RedisError when Redis fails; `read_snapshot` raises CacheUnavailable.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client, guarded_client
from instafeed.core.cache.lua import Argument, Script

_LUA_DIR = Path(__file__).parent / "lua"
_COMMON_LUA = _LUA_DIR / "common.lua"
_push_to_feeds_script = Script.from_files(_COMMON_LUA, _LUA_DIR / "push_to_feeds.lua")
_push_to_author_timeline_script = Script.from_files(_COMMON_LUA, _LUA_DIR / "push_to_author_timeline.lua")
_begin_rebuild_script = Script.from_files(_LUA_DIR / "begin_rebuild.lua")
_finish_rebuild_script = Script.from_files(_COMMON_LUA, _LUA_DIR / "finish_rebuild.lua")
_read_snapshot_script = Script.from_files(_COMMON_LUA, _LUA_DIR / "read_snapshot.lua")

_REBUILDING = b"B"


@dataclass(frozen=True, slots=True)
class Timeline:
    """Post ids, descending, and the id above which none is missing (0: none is missing at all)."""

    ids: list[int]
    floor: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Redis holds for one page at one instant; None stands for what is not there."""

    feed: Timeline | None
    has_visible_authors: bool
    has_celebrities: bool
    authors: dict[int, Timeline | None]  # by celebrity followed
    rebuilding: frozenset[str]  # keys that somebody rebuilds right now


def _trim_slack() -> int:
    """How much too long a list may grow before it is cut: a tenth."""
    return max(1, settings.FEED_LENGTH // 10)


def push_to_feeds(viewer_ids: Iterable[int], post_id: int) -> int:
    """Put a post into the warm ones among these viewers' feeds, in one call; returns how many were warm."""
    names = [keys.home_timeline(viewer_id) for viewer_id in viewer_ids]
    return (
        int(_push_to_feeds_script(get_client(), names, [post_id, settings.FEED_LENGTH, _trim_slack()])) if names else 0
    )


def push_to_author_timeline(author_id: int, post_id: int) -> None:
    """Put a post into the author's own list if that is warm."""
    _push_to_author_timeline_script(
        get_client(), [keys.author_timeline(author_id)], [post_id, settings.FEED_LENGTH, _trim_slack()]
    )


def evict(names: Collection[str]) -> None:
    """Make timelines cold; the next read rebuilds them."""
    if names:
        get_client().unlink(*names)


def begin_rebuild(key: str) -> str | None:
    """Claim a cold timeline; None when it is warm or somebody else's."""
    token = secrets.token_hex(8)
    return token if _begin_rebuild_script(get_client(), [key], [token, keys.REBUILD_TTL_MS]) else None


def finish_rebuild(key: str, token: str, timeline: Timeline) -> bool:
    """Store what the database says and keep what was pushed since the claim; False if the claim was lost."""
    arguments: list[Argument] = [token, settings.FEED_TTL, settings.FEED_LENGTH, timeline.floor, *timeline.ids]
    return bool(_finish_rebuild_script(get_client(), [key], arguments))


def read_snapshot(viewer_id: int, before: int | None, wanted: int) -> Snapshot:
    """All that a page of `wanted` posts below `before` may be made of, in one round trip and at one instant."""
    feed_key = keys.home_timeline(viewer_id)
    with guarded_client() as client:
        feed, sources, celebrities, *lists = _read_snapshot_script(
            client,
            [feed_key, keys.visible_authors(viewer_id), keys.CELEBRITIES],
            [keys.AUTHOR_TIMELINE_PREFIX, "" if before is None else before, wanted, settings.FEED_TTL],
        )
    by_author = {int(author): raw for author, raw in zip(lists[::2], lists[1::2], strict=True)}
    building = {keys.author_timeline(author) for author, raw in by_author.items() if raw == _REBUILDING}
    return Snapshot(
        feed=_parse(feed),
        has_visible_authors=bool(sources),
        has_celebrities=bool(celebrities),
        authors={author: _parse_window(raw) for author, raw in by_author.items()},
        rebuilding=frozenset(building | ({feed_key} if feed == _REBUILDING else set())),
    )


def peek(key: str) -> Timeline | None:
    """One whole timeline, without prolonging its life; None when cold or being rebuilt."""
    elements: Sequence[bytes] = get_client().lrange(key, 0, -1)  # type: ignore[assignment]
    return _parse(b",".join(elements))


def _parse(raw: bytes) -> Timeline | None:
    """A whole list; its last element is the marker. Sorted and without the doubles of repeated deliveries."""
    if not raw or raw.rpartition(b",")[2].startswith(_REBUILDING):
        return None
    *ids, marker = map(int, raw.split(b","))
    floor = -marker
    ids.sort(reverse=True)  # nearly in order already, which sort() makes use of and a set would lose
    while ids and ids[-1] <= floor:
        ids.pop()
    return Timeline(list(dict.fromkeys(ids)), floor)


def _parse_window(raw: bytes) -> Timeline | None:
    """Part of a strictly descending list: complete down to its last post, unless the marker came along."""
    if not raw or raw == _REBUILDING:
        return None
    ids = list(map(int, raw.split(b",")))
    if ids[-1] > 0:
        return Timeline(ids, ids[-1] - 1)
    return Timeline(ids[:-1], -ids[-1])
