"""The hybrid timeline: merge what was pushed and what is pulled above the floor, continue in SQL below it.

Every source says above which id it is complete. Above the highest of these floors the merge is exact;
below it one SQL pull over all sources is. So a page ends only where the data does, wherever its posts
come from, and a cursor is one integer: "below this id".
"""

from __future__ import annotations

import logging
import time
from functools import partial

import redis

from feeds import backfill, hydration, timeline_store, visible_authors
from feeds.timeline_store import Snapshot, Timeline
from instafeed.core.api.pagination.filtered import MAX_SCAN_BATCH_SIZE, fetch_filtered_page
from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, record_failure
from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID, timestamp_of_id
from instafeed.core.observability.metrics import FEED_READS

logger = logging.getLogger(__name__)

MAX_READ_ATTEMPTS = 5  # reads of the lists, with what was cold rebuilt in between, before SQL answers
REBUILD_POLL_INTERVAL = 0.03  # seconds between attempts while somebody else rebuilds
MAX_REBUILDS_PER_ATTEMPT = 25  # authors' lists that one request rebuilds between two attempts
_warm_reads, _rebuilt_reads, _sql_reads = (FEED_READS.labels(source) for source in ("warm", "rebuilt", "sql"))


def get_page(viewer_id: int, before: int | None, limit: int) -> tuple[list[bytes], int | None]:
    """The viewer's posts below `before` as JSON, newest first, and the cursor of the next page.

    At most `limit` posts, fewer only at the end of the feed; the cursor is None exactly there. A warm page
    costs no SQL and two or three round trips to Redis, however many accounts the viewer follows.
    """
    return fetch_filtered_page(
        partial(candidate_post_ids, viewer_id), partial(hydration.render_posts, viewer_id), before, limit
    )


def count_newer(viewer_id: int, since: int, cap: int) -> tuple[int, bool]:
    """How many visible posts are newer than `since`, at most `cap`, and whether there are more."""
    count, before, exhausted, wanted = 0, None, False, cap + 1
    while count <= cap and not exhausted:
        ids, exhausted = candidate_post_ids(viewer_id, before, wanted)
        newer = [post_id for post_id in ids if post_id > since]
        exhausted = exhausted or len(newer) < len(ids)
        before = ids[-1] if ids else None
        count += len(hydration.render_posts(viewer_id, newer))
        wanted = min(2 * wanted, MAX_SCAN_BATCH_SIZE)
    return min(count, cap), count > cap


def candidate_post_ids(viewer_id: int, before: int | None, wanted: int) -> tuple[list[int], bool]:
    """The next `wanted` post ids of the viewer's sources below `before`, and whether these are the last.

    Exact as to what exists; whether the viewer may see each is decided later.
    """
    top = MAX_ID if before is None else before
    try:
        timelines = _read_timelines(viewer_id, before, wanted)
    except (CacheUnavailable, redis.RedisError) as error:
        if not isinstance(error, CacheUnavailable):
            record_failure(error)
        timelines = None
    if timelines is None:
        _sql_reads.inc()
        return _query_older(list(visible_authors.load(viewer_id)), top, wanted)
    floor = max(timeline.floor for timeline in timelines)
    ids = _merge(timelines, floor, top)
    if len(ids) >= wanted or floor == 0:
        return ids[:wanted], len(ids) <= wanted and floor == 0
    below, exhausted = _query_older(visible_authors.get_ids(viewer_id), min(top, floor + 1), wanted - len(ids))
    return ids + below, exhausted


def _merge(timelines: list[Timeline], floor: int, before: int) -> list[int]:
    """All ids between floor and cursor, descending, each once."""
    ids = {post_id for timeline in timelines for post_id in timeline.ids if floor < post_id < before}
    return sorted(ids, reverse=True)


def _query_older(author_ids: list[int], before: int, wanted: int) -> tuple[list[int], bool]:
    author_ids = visible_authors.exclude_inactive(author_ids)
    # A replica may answer for old posts if it is proved to hold all of them: one that lags would make a hole.
    with session.reading_before(timestamp_of_id(before)) if before < MAX_ID else session.use_primary():
        ids = backfill.query_latest_post_ids(author_ids, before, wanted)
    return ids, len(ids) < wanted


def _read_timelines(viewer_id: int, before: int | None, wanted: int) -> list[Timeline] | None:
    """The viewer's list and those of the celebrities it follows, as of one instant.

    What is cold is rebuilt, then everything is read again: only a list and a celebrity set of the same
    instant fit together. None when that did not succeed soon: SQL answers then.
    """
    for attempt in range(MAX_READ_ATTEMPTS):
        snapshot = timeline_store.read_snapshot(viewer_id, before, wanted)
        timelines = [snapshot.feed, *snapshot.authors.values()]
        complete = [timeline for timeline in timelines if timeline is not None]
        if snapshot.has_visible_authors and snapshot.has_celebrities and len(complete) == len(timelines):
            (_rebuilt_reads if attempt else _warm_reads).inc()
            return complete
        if not _rebuild_missing(viewer_id, snapshot):
            time.sleep(REBUILD_POLL_INTERVAL)
    return None


def _rebuild_missing(viewer_id: int, snapshot: Snapshot) -> bool:
    """Rebuild what is cold; False when all of that is in somebody else's hands."""
    progress = False
    if not snapshot.has_visible_authors:
        progress |= visible_authors.fill(viewer_id)
    if not snapshot.has_celebrities:
        progress |= visible_authors.fill_celebrities()
    if snapshot.feed is None and keys.home_timeline(viewer_id) not in snapshot.rebuilding:
        progress |= backfill.rebuild_home_feed(viewer_id)
    cold = [
        author_id
        for author_id, timeline in snapshot.authors.items()
        if timeline is None and keys.author_timeline(author_id) not in snapshot.rebuilding
    ]
    for author_id in cold[:MAX_REBUILDS_PER_ATTEMPT]:
        progress |= backfill.rebuild_author_timeline(author_id)
    return progress
