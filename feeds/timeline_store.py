"""The timelines in Redis: lists of post ids, newest first, that end with a marker of completeness.

There are two kinds. `feed:{viewer}` is a viewer's home timeline: the posts pushed to the viewer. `author:{author}`
is an author's own newest posts, which followers of celebrities pull. A list takes about 10 bytes a post, a sorted
set 100. In return this module and its Lua scripts keep order and completeness:

* A push writes to warm timelines only. If it created a timeline, that would hold one post and look complete.
* The marker says above which id the timeline is complete (`Timeline.floor`); 0 means complete to the beginning.
* A home timeline is unsorted where a delivery came late, so readers sort. An author timeline is strictly descending.
* A rebuild claims the key with a token before it reads the database, and stores its result under that token only.

Functions raise redis.RedisError when Redis fails; `read_snapshot` raises CacheUnavailable.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

from instafeed.core.cache import commands, keys
from instafeed.core.cache.lua import Argument, Command, Script

MAX_AUTHOR_TIMELINES = 500  # read in one call, which blocks Redis for about 1.5 ms then
EVICTION_BATCH_SIZE = 1_000  # keys
LUA_DIR = Path(__file__).parent / "lua"
_COMMON_LUA = LUA_DIR / "common.lua"
PUSH_SCRIPT = ("common.lua", "push_to_home_timelines.lua")  # benchmarks run it, too
_push_to_home_timelines_script = Script.from_files(*(LUA_DIR / name for name in PUSH_SCRIPT))
_push_to_author_timelines_script = Script.from_files(_COMMON_LUA, LUA_DIR / "push_to_author_timelines.lua")
_begin_rebuild_script = Script.from_files(LUA_DIR / "begin_rebuild.lua")
_finish_rebuild_script = Script.from_files(_COMMON_LUA, LUA_DIR / "finish_rebuild.lua")
_read_snapshot_script = Script.from_files(_COMMON_LUA, LUA_DIR / "read_snapshot.lua")

_REBUILDING = b"B"  # the first byte of a marker that claims a rebuild


@dataclass(frozen=True, slots=True)
class Timeline:
    """Post ids in descending order; every post with an id above `floor` is among them."""

    ids: list[int]
    floor: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Redis holds for one page at one instant. A timeline that is cold or being rebuilt is None."""

    home_timeline: Timeline | None
    author_timelines: dict[int, Timeline | None]  # of the celebrities that the viewer follows
    has_visible_authors: bool
    has_celebrities: bool
    too_many_celebrities: bool  # more than MAX_AUTHOR_TIMELINES, none of which was read
    rebuilding: frozenset[str]  # keys that another process is rebuilding


class Push(NamedTuple):
    """A post and the viewers to whose home timelines it is pushed."""

    post_id: int
    viewer_ids: Sequence[int]


def push_to_home_timelines(pushes: Sequence[Push]) -> tuple[list[int], set[int]]:
    """Push posts to the viewers' warm home timelines, with one call for each bucket, all in one round trip.

    Return for each post how many were warm, and the buckets whose server failed. Raises if all of them fail.
    """
    counts, missed = [0] * len(pushes), set[int]()
    calls: list[tuple[int, list[int]]] = []  # the bucket of each call, and its pushes by index
    sent: list[Command] = []
    for bucket, parts in _split_by_bucket(pushes).items():
        names = [name for viewer_ids in parts.values() for name in keys.home_timelines(viewer_ids)]
        arguments: list[Argument] = [settings.FEED_LENGTH, trim_slack()]
        for index, viewer_ids in parts.items():
            arguments += (pushes[index].post_id, len(viewer_ids))
        calls.append((bucket, list(parts)))
        sent.append(_push_to_home_timelines_script.command(names, arguments))
    for (bucket, indexes), reply in zip(calls, commands.run_where_possible(sent), strict=True):
        if isinstance(reply, Exception):
            missed.add(bucket)
            continue
        for index, count in zip(indexes, reply, strict=True):
            counts[index] += count
    return counts, missed


def _split_by_bucket(pushes: Sequence[Push]) -> dict[int, dict[int, Sequence[int]]]:
    """Return for each bucket its viewers, by the index of the push."""
    split: dict[int, dict[int, Sequence[int]]] = {}
    for index, push in enumerate(pushes):
        for viewer_ids in keys.group_by_bucket(push.viewer_ids):
            split.setdefault(keys.bucket_of(viewer_ids[0]), {})[index] = viewer_ids
    return split


def push_to_author_timelines(posts: Sequence[tuple[int, int]]) -> set[int]:
    """Insert posts, given as (author id, post id), into their author timelines if these are warm.

    Takes one round trip, with one call for the copies of each bucket. Return the buckets whose server failed. Raises if
    all of them fail.
    """
    if not posts:
        return set()
    arguments = [settings.FEED_LENGTH, trim_slack(), *(post_id for _, post_id in posts)]
    replies = commands.run_where_possible(
        [
            _push_to_author_timelines_script.command(
                [keys.author_timeline(author_id, bucket) for author_id, _ in posts], arguments
            )
            for bucket in keys.all_buckets()
        ]
    )
    return {bucket for bucket, reply in enumerate(replies) if isinstance(reply, Exception)}


def trim_slack() -> int:
    """Return by how many posts a timeline may exceed FEED_LENGTH before it is trimmed: a tenth of it."""
    return max(1, settings.FEED_LENGTH // 10)


def evict_bucket(bucket: int) -> None:
    """Delete all timelines of a bucket, page by page."""
    for kind in ("feed", "author"):
        names = commands.scan(kind, bucket)
        while batch := list(itertools.islice(names, EVICTION_BATCH_SIZE)):
            evict(batch)


def evict(names: Collection[str]) -> None:
    """Delete keys of timelines; the next read rebuilds them."""
    if names:
        commands.run_unguarded([("UNLINK", *names)])


def begin_rebuild_command(key: str, token: str) -> Command:
    """Return the command that claims a cold timeline with a new token.

    Its reply is 0 if the timeline is warm or claimed by another process.
    """
    return _begin_rebuild_script.command([key], [token, keys.REBUILD_TTL_MS])


def finish_rebuild_command(key: str, token: str, timeline: Timeline) -> Command:
    """Return the command that stores a timeline from the database, merged with the posts pushed since the claim.

    Its reply is 0 if the claim was lost: it expired, or an invalidation deleted it.
    """
    arguments: list[Argument] = [token, settings.FEED_TTL, settings.FEED_LENGTH, timeline.floor, *timeline.ids]
    return _finish_rebuild_script.command([key], arguments)


def read_snapshot(viewer_id: int, before: int | None, wanted: int) -> Snapshot:
    """Read everything that a page of `wanted` posts below the id `before` can consist of.

    Takes one round trip and reads as of one instant. Raises CacheUnavailable.
    """
    (reply,) = commands.run([snapshot_command(viewer_id, before, wanted)])
    return parse_snapshot(viewer_id, reply)


def snapshot_command(viewer_id: int, before: int | None, wanted: int) -> Command:
    """Return the command of `read_snapshot`, for a round trip with other reads."""
    bucket = keys.bucket_of(viewer_id)
    return _read_snapshot_script.command(
        [keys.home_timeline(viewer_id), keys.visible_authors(viewer_id), keys.celebrities(bucket)],
        ["" if before is None else before, wanted, settings.FEED_TTL, MAX_AUTHOR_TIMELINES, keys.AUTHOR_TIMELINE_KIND],
    )


def parse_snapshot(viewer_id: int, reply: Sequence[Any]) -> Snapshot:
    """Return the snapshot in the reply to `snapshot_command`."""
    home, has_visible_authors, has_celebrities, *author_replies = reply
    by_author = {int(id_): raw for id_, raw in zip(author_replies[::2], author_replies[1::2], strict=True)}
    bucket = keys.bucket_of(viewer_id)
    rebuilding = {keys.author_timeline(author_id, bucket) for author_id, raw in by_author.items() if raw == _REBUILDING}
    if home == _REBUILDING:
        rebuilding.add(keys.home_timeline(viewer_id))
    return Snapshot(
        home_timeline=_parse(home),
        author_timelines={author_id: _parse_window(raw) for author_id, raw in by_author.items()},
        has_visible_authors=bool(has_visible_authors),
        has_celebrities=bool(has_celebrities),
        too_many_celebrities=has_celebrities < 0,
        rebuilding=frozenset(rebuilding),
    )


def peek(key: str) -> Timeline | None:
    """Return one whole timeline without extending its TTL; None if it is cold or being rebuilt."""
    (elements,) = commands.run_unguarded([("LRANGE", key, 0, -1)])
    return _parse(b",".join(elements))


def _parse(raw: bytes) -> Timeline | None:
    """Parse a whole list, marker included. Sort it and drop the duplicates of repeated deliveries."""
    if not raw or raw.rpartition(b",")[2].startswith(_REBUILDING):
        return None
    # Each page parses 500 ids, and the scanner of json is faster than int() for each.
    *ids, marker = json.loads(b"[%b]" % raw)
    floor = -marker
    ids.sort(reverse=True)  # fast on ids that are nearly in order; a set would lose that order
    while ids and ids[-1] <= floor:
        ids.pop()
    if len(set(ids)) < len(ids):
        ids = list(dict.fromkeys(ids))
    return Timeline(ids, floor)


def _parse_window(raw: bytes) -> Timeline | None:
    """Parse a part of an author timeline: complete down to its last post, or to the marker if that is included."""
    if not raw or raw == _REBUILDING:
        return None
    ids = list(map(int, raw.split(b",")))
    if ids[-1] > 0:
        return Timeline(ids, ids[-1] - 1)
    return Timeline(ids[:-1], -ids[-1])
