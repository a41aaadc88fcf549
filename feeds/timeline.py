"""The hybrid timeline, the top of the read path: candidates from Redis and SQL, rendered for the viewer.

A page merges the viewer's home timeline with the author timelines of the celebrities that the viewer follows.
Each is complete above its floor, so above the highest floor the merge is exact. Below it one SQL query over all
visible authors answers. A page is therefore short only at the end of the feed, and a cursor is one integer: read
the posts below this id.
"""

from __future__ import annotations

import itertools
import operator
import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import redis

from feeds import backfill, render, timeline_store, visible_authors
from feeds.timeline_store import Snapshot, Timeline
from instafeed.core.api.pagination.filtered import MAX_ROUNDS, MAX_SCAN_BATCH_SIZE, fetch_filtered_page
from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, record_failure
from instafeed.core.cache.lua import Command
from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID, timestamp_of_id
from instafeed.core.observability.metrics import FEED_READS

MAX_READ_ATTEMPTS = 5  # reads of Redis, with a rebuild of cold timelines in between, before SQL answers
REBUILD_POLL_INTERVAL = 0.03  # seconds between attempts while other processes rebuild
MAX_REBUILDS_PER_ATTEMPT = 25  # author timelines that one request rebuilds between two attempts
_warm_reads, _rebuilt_reads, _sql_reads = (FEED_READS.labels(source) for source in ("warm", "rebuilt", "sql"))


def page_command(viewer_id: int, before: int | None, limit: int) -> Command:
    """Return the command that reads what a page begins with, for `get_page`."""
    return timeline_store.snapshot_command(viewer_id, before, limit + 1)


def get_page(
    viewer_id: int, before: int | None, limit: int, reply: Sequence[Any] | None = None
) -> tuple[list[bytes], int | None]:
    """Return the viewer's posts below the id `before` as JSON, newest first, and the next page's cursor.

    There are `limit` posts, fewer only at the end of the feed; there the cursor is None. `reply` is the reply to
    `page_command`, if it was sent during this request. A warm page takes no SQL and, after that, one or two round trips
    to Redis, however many accounts the viewer follows.
    """
    replies = [] if reply is None else [reply]
    rounds = itertools.count()

    def fetch_candidates(before: int | None, wanted: int) -> tuple[list[int], bool]:
        first = timeline_store.parse_snapshot(viewer_id, replies.pop()) if replies else None
        return candidate_post_ids(viewer_id, before, wanted, first, skip_inactive=next(rounds) > 0)

    return fetch_filtered_page(
        fetch_candidates,
        lambda post_ids: render.render_posts(viewer_id, post_ids),
        before,
        limit,
    )


def count_newer(viewer_id: int, since: int, cap: int) -> tuple[int, bool]:
    """Return how many visible posts have an id above `since`, at most `cap`, and whether there are more.

    If so many newer posts are hidden that MAX_ROUNDS do not reach `cap`, the count may be too small.
    """
    count, before, wanted = 0, None, cap + 1
    for number in range(MAX_ROUNDS):
        post_ids, is_exhausted = candidate_post_ids(viewer_id, before, wanted, skip_inactive=number > 0)
        newer = [post_id for post_id in post_ids if post_id > since]
        before = post_ids[-1] if post_ids else None
        count += len(render.render_posts(viewer_id, newer))
        if count > cap or is_exhausted or len(newer) < len(post_ids):
            break
        wanted = min(2 * wanted, MAX_SCAN_BATCH_SIZE)
    return min(count, cap), count > cap


def candidate_post_ids(
    viewer_id: int, before: int | None, wanted: int, first: Snapshot | None = None, *, skip_inactive: bool
) -> tuple[list[int], bool]:
    """Return the next `wanted` post ids of the viewer's authors below `before`, and whether these are the last.

    No post is missing; `render.render_posts` then drops those that the viewer may not see. `first` is what Redis held
    for these arguments a moment ago. With `skip_inactive` SQL leaves out inactive authors, so that a page need not skip
    thousands of hidden posts. It takes one more query: use it once posts were hidden.
    """
    top = MAX_ID if before is None else before
    timelines = _read_timelines(viewer_id, before, wanted, first)
    if timelines is None:
        _sql_reads.inc()
        return query_older(list(visible_authors.load(viewer_id)), top, wanted, skip_inactive=skip_inactive)
    floor = max(timeline.floor for timeline in timelines)
    merged = _merge(timelines, floor, top, wanted + 1)
    if len(merged) >= wanted or floor == 0:
        return merged[:wanted], len(merged) <= wanted and floor == 0
    author_ids = visible_authors.get_ids(viewer_id)
    below, missing = min(top, floor + 1), wanted - len(merged)
    older, is_exhausted = query_older(author_ids, below, missing, skip_inactive=skip_inactive)
    return merged + older, is_exhausted


def _read_timelines(viewer_id: int, before: int | None, wanted: int, first: Snapshot | None) -> list[Timeline] | None:
    """Return the timelines of a page, or None if Redis fails or a rebuild takes too long: then SQL answers."""
    try:
        return _read_or_rebuild(viewer_id, before, wanted, first)
    except CacheUnavailable:
        return None
    except redis.RedisError as error:
        record_failure(error)
        return None


def _read_or_rebuild(viewer_id: int, before: int | None, wanted: int, first: Snapshot | None) -> list[Timeline] | None:
    """Read the home timeline and the author timelines of the viewer's celebrities, as of one instant.

    After rebuilding cold timelines, read everything again: only timelines and a celebrity set of the same instant
    fit together. Return None if they are still incomplete after `MAX_READ_ATTEMPTS`, or if the viewer follows too many
    celebrities.
    """
    for attempt in range(MAX_READ_ATTEMPTS):
        snapshot = (not attempt and first) or timeline_store.read_snapshot(viewer_id, before, wanted)
        if snapshot.too_many_celebrities:
            return None
        timelines = [snapshot.home_timeline, *snapshot.author_timelines.values()]
        warm = [timeline for timeline in timelines if timeline is not None]
        if snapshot.has_visible_authors and snapshot.has_celebrities and len(warm) == len(timelines):
            (_rebuilt_reads if attempt else _warm_reads).inc()
            return warm
        if not _rebuild_missing(viewer_id, snapshot):
            time.sleep(REBUILD_POLL_INTERVAL)
    return None


def _rebuild_missing(viewer_id: int, snapshot: Snapshot) -> bool:
    """Rebuild what is cold. Return False if other processes are rebuilding all of it."""
    has_rebuilt, bucket = False, keys.bucket_of(viewer_id)
    if not snapshot.has_celebrities:
        has_rebuilt |= visible_authors.fill_celebrities(bucket)
    is_home_cold = snapshot.home_timeline is None and keys.home_timeline(viewer_id) not in snapshot.rebuilding
    if is_home_cold or not snapshot.has_visible_authors:
        has_rebuilt |= backfill.rebuild_home_timeline(viewer_id)
    cold_author_ids = [
        author_id
        for author_id, timeline in snapshot.author_timelines.items()
        if timeline is None and keys.author_timeline(author_id, bucket) not in snapshot.rebuilding
    ]
    if cold_author_ids:
        has_rebuilt |= backfill.rebuild_author_timelines(cold_author_ids[:MAX_REBUILDS_PER_ATTEMPT], bucket)
    return has_rebuilt


def _merge(timelines: list[Timeline], floor: int, before: int, wanted: int) -> list[int]:
    """Return the first `wanted` distinct post ids above `floor` and below `before`, in descending order."""
    post_ids: set[int] = set()
    for timeline in timelines:
        start = bisect_right(timeline.ids, -before, key=operator.neg)
        post_ids.update(timeline.ids[start : start + wanted])
    return sorted((post_id for post_id in post_ids if post_id > floor), reverse=True)[:wanted]


def query_older(
    author_ids: list[int], before: int, wanted: int, *, skip_inactive: bool = False
) -> tuple[list[int], bool]:
    """Query the next `wanted` post ids of these authors below `before`, and tell whether these are the last."""
    if skip_inactive:
        author_ids = visible_authors.exclude_inactive(author_ids)
    # A replica may answer only if it is known to have all posts below `before`; a lagging one would leave a hole.
    with session.reading_before(timestamp_of_id(before)) if before < MAX_ID else session.use_primary():
        post_ids = backfill.query_latest_post_ids(author_ids, before, wanted)
    return post_ids, len(post_ids) < wanted
