"""The counts of viewers, read in the threads of a small pool. The same code answers the API's reads."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from feeds import timeline, timeline_store
from feeds.timeline_store import Snapshot
from instafeed.core.cache import commands
from instafeed.core.cache.client import CacheUnavailable
from instafeed.stream import seen_posts
from instafeed.stream.seen_posts import SeenPosts
from posts.notification_list import Unread, read_unread

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What to read for a viewer. `resumed`: the newest post ids that connections of theirs know from before."""

    viewer_id: int
    seen: SeenPosts | None  # None: the viewer has just connected
    posts: bool
    unread: bool
    resumed: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Result:
    """What was read."""

    new_posts: int  # since the request's `seen`
    seen: SeenPosts
    unread: Unread | None  # None: it was not asked for
    newer: dict[int, int]  # posts since each of `resumed`
    seconds: float  # that the reads took


def read_viewers(requests: Sequence[Request]) -> list[Result | None]:
    """Return a result for each viewer; None if its reads failed."""
    wanted = [request.viewer_id for request in requests if request.posts]
    snapshots = read_snapshots(wanted)
    return [_read_or_log(request, snapshots.get(request.viewer_id)) for request in requests]


def read_snapshots(viewer_ids: Sequence[int]) -> dict[int, Snapshot]:
    """Return what Redis holds of the viewers' feeds, in one round trip; nothing if it does not answer."""
    try:
        replies = commands.run([timeline.page_command(id_, None, seen_posts.WINDOW) for id_ in viewer_ids])
    except CacheUnavailable:
        return {}
    return {id_: timeline_store.parse_snapshot(id_, reply) for id_, reply in zip(viewer_ids, replies, strict=True)}


def _read_or_log(request: Request, snapshot: Snapshot | None) -> Result | None:
    try:
        return _read(request, snapshot)
    except Exception as error:
        logger.warning("the counts of a stream cannot be read and are tried again: %s", type(error).__name__)
        return None


def _read(request: Request, snapshot: Snapshot | None) -> Result:
    started = time.monotonic()
    viewer_id, new_posts, seen = request.viewer_id, 0, request.seen
    if seen is None:
        seen = seen_posts.begin(viewer_id, snapshot)
    elif request.posts:
        new_posts, seen = seen_posts.find_new(viewer_id, seen, snapshot)
    newer = {post_id: seen_posts.count_newer(viewer_id, post_id, seen) for post_id in request.resumed}
    unread = read_unread(viewer_id) if request.unread else None
    return Result(new_posts, seen, unread, newer, time.monotonic() - started)
