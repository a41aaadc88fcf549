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

from feeds import hydration, rebuild, sources, store
from feeds.store import Snapshot, Timeline
from instafeed import keys
from instafeed.ids import MAX_ID, moment_of
from instafeed.metrics import FEED_READS
from instafeed.redis import CacheUnavailable, trip
from instafeed.refill import LONGEST_STRIDE, filled_page
from instafeed.replicas import session

logger = logging.getLogger(__name__)

ATTEMPTS = 5  # reads of the lists, with what was cold rebuilt in between, before SQL answers
PAUSE = 0.03  # seconds between attempts while somebody else rebuilds
WARM_AT_ONCE = 25  # authors' lists that one request rebuilds between two attempts
_warm_reads, _rebuilt_reads, _sql_reads = (FEED_READS.labels(source) for source in ("warm", "rebuilt", "sql"))


def page(viewer_id: int, before: int | None, limit: int) -> tuple[list[bytes], int | None]:
    """The viewer's posts below `before` as JSON, newest first, and the cursor of the next page.

    At most `limit` posts, fewer only at the end of the feed; the cursor is None exactly there. A warm page
    costs no SQL and two or three round trips to Redis, however many accounts the viewer follows.
    """
    return filled_page(partial(candidates, viewer_id), partial(hydration.hydrate, viewer_id), before, limit)


def count_newer(viewer_id: int, since: int, cap: int) -> tuple[int, bool]:
    """How many visible posts are newer than `since`, at most `cap`, and whether there are more."""
    count, before, exhausted, wanted = 0, None, False, cap + 1
    while count <= cap and not exhausted:
        ids, exhausted = candidates(viewer_id, before, wanted)
        newer = [post_id for post_id in ids if post_id > since]
        exhausted = exhausted or len(newer) < len(ids)
        before = ids[-1] if ids else None
        count += len(hydration.hydrate(viewer_id, newer))
        wanted = min(2 * wanted, LONGEST_STRIDE)
    return min(count, cap), count > cap


def candidates(viewer_id: int, before: int | None, wanted: int) -> tuple[list[int], bool]:
    """The next `wanted` post ids of the viewer's sources below `before`, and whether these are the last.

    Exact as to what exists; whether the viewer may see each is decided later.
    """
    top = MAX_ID if before is None else before
    try:
        timelines = _timelines(viewer_id, before, wanted)
    except (CacheUnavailable, redis.RedisError) as error:
        if not isinstance(error, CacheUnavailable):
            trip(error)
        timelines = None
    if timelines is None:
        _sql_reads.inc()
        return _pull(list(sources.load(viewer_id)), top, wanted)
    floor = max(timeline.floor for timeline in timelines)
    ids = _merge(timelines, floor, top)
    if len(ids) >= wanted or floor == 0:
        return ids[:wanted], len(ids) <= wanted and floor == 0
    below, exhausted = _pull(sources.members(viewer_id), min(top, floor + 1), wanted - len(ids))
    return ids + below, exhausted


def _merge(timelines: list[Timeline], floor: int, before: int) -> list[int]:
    """All ids between floor and cursor, descending, each once."""
    ids = {post_id for timeline in timelines for post_id in timeline.ids if floor < post_id < before}
    return sorted(ids, reverse=True)


def _pull(author_ids: list[int], before: int, wanted: int) -> tuple[list[int], bool]:
    author_ids = sources.only_active(author_ids)
    # A replica may answer for old posts if it is proved to hold all of them: one that lags would make a hole.
    with session.reading_before(moment_of(before)) if before < MAX_ID else session.use_primary():
        ids = rebuild.pull(author_ids, before, wanted)
    return ids, len(ids) < wanted


def _timelines(viewer_id: int, before: int | None, wanted: int) -> list[Timeline] | None:
    """The viewer's list and those of the celebrities it follows, as of one instant.

    What is cold is rebuilt, then everything is read again: only a list and a celebrity set of the same
    instant fit together. None when that did not succeed soon: SQL answers then.
    """
    for attempt in range(ATTEMPTS):
        snapshot = store.read(viewer_id, before, wanted)
        timelines = [snapshot.feed, *snapshot.authors.values()]
        complete = [timeline for timeline in timelines if timeline is not None]
        if snapshot.has_sources and snapshot.has_celebrities and len(complete) == len(timelines):
            (_rebuilt_reads if attempt else _warm_reads).inc()
            return complete
        if not _warm(viewer_id, snapshot):
            time.sleep(PAUSE)
    return None


def _warm(viewer_id: int, snapshot: Snapshot) -> bool:
    """Rebuild what is cold; False when all of that is in somebody else's hands."""
    progress = False
    if not snapshot.has_sources:
        progress |= sources.warm(viewer_id)
    if not snapshot.has_celebrities:
        progress |= sources.warm_celebrities()
    if snapshot.feed is None and keys.feed(viewer_id) not in snapshot.building:
        progress |= rebuild.warm_feed(viewer_id)
    cold = [
        author_id
        for author_id, timeline in snapshot.authors.items()
        if timeline is None and keys.author(author_id) not in snapshot.building
    ]
    for author_id in cold[:WARM_AT_ONCE]:
        progress |= rebuild.warm_author(author_id)
    return progress
