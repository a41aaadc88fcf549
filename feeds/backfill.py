"""Timelines from PostgreSQL: the queries for the posts of many authors, and the rebuild of a cold timeline.

A rebuild claims the key first and queries afterwards. A post pushed before the claim was committed before it, so
the query sees it; a post pushed later lands in the claimed list and is kept. Each key has one rebuild at a time,
and `REBUILD_SLOTS` bounds how many each process runs against the database when Redis is empty.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db import connections, router
from django.db.models import QuerySet

from accounts.models import CelebrityState, User
from feeds import timeline_store, visible_authors
from feeds.timeline_store import Timeline
from instafeed.core.cache import keys
from instafeed.core.db.snowflake import MAX_ID
from instafeed.core.observability.metrics import FEED_PULLS, FEED_REBUILD_SECONDS
from posts.models import Post

REBUILD_SLOTS = threading.BoundedSemaphore(4)

# Up to this many authors, one index probe for each is faster. Above it, walking the newest posts of all authors is
# faster if that finds enough posts soon (measured with 2 million posts).
MAX_LATERAL_AUTHORS = 300
MAX_WALK_POSTS = 20_000  # newest posts that a walk examines before it gives up

# Raw SQL, because the ORM has no LATERAL.
LATERAL_SQL = """
SELECT newest.id
FROM unnest(%(authors)s::bigint[]) AS author(id)
CROSS JOIN LATERAL (
    SELECT id FROM posts_post
    WHERE author_id = author.id AND id < %(before)s
    ORDER BY id DESC LIMIT %(limit)s
) AS newest
ORDER BY newest.id DESC LIMIT %(limit)s
"""
WALK_SQL = """
SELECT recent.id
FROM (
    SELECT id, author_id FROM posts_post
    WHERE id < %(before)s
    ORDER BY id DESC LIMIT %(scan)s
) AS recent
WHERE recent.author_id = ANY(%(authors)s::bigint[])
ORDER BY recent.id DESC LIMIT %(limit)s
"""


def query_latest_post_ids(author_ids: Sequence[int], before: int, limit: int, *, using: str | None = None) -> list[int]:
    """Return the newest `limit` post ids of these authors below `before`, descending; fewer if there are no more.

    Queries the database that the router chooses, unless `using` names one.
    """
    if not author_ids:
        return []
    arguments: dict[str, Any] = {"authors": list(author_ids), "before": before, "limit": limit, "scan": MAX_WALK_POSTS}
    with connections[using or router.db_for_read(Post)].cursor() as cursor:
        if len(author_ids) > MAX_LATERAL_AUTHORS:
            cursor.execute(WALK_SQL, arguments)
            post_ids = [row[0] for row in cursor.fetchall()]
            if len(post_ids) == limit:  # with fewer, the walk may have stopped before the last post
                FEED_PULLS.labels("walk").inc()
                return post_ids
        cursor.execute(LATERAL_SQL, arguments)
        FEED_PULLS.labels("by_author").inc()
        return [row[0] for row in cursor.fetchall()]


def rebuild_home_timeline(viewer_id: int) -> bool:
    """Rebuild a cold home timeline. Return False if another process does, or it was invalidated meanwhile."""
    return _rebuild(keys.home_timeline(viewer_id), "feed", lambda: load_home_timeline(viewer_id))


def replace_home_timelines(viewers: QuerySet[User], *, after: int, batch_size: int) -> Iterator[int]:
    """Evict and rebuild the home timelines of the viewers with ids above `after`, in the order of ids.

    Yield each viewer's id when it is done. The ids are read `batch_size` at a time.
    """
    ids = viewers.order_by("pk").values_list("pk", flat=True)
    while batch := list(ids.filter(pk__gt=after)[:batch_size]):
        for viewer_id in batch:
            timeline_store.evict(visible_authors.home_timeline_keys([viewer_id]))
            visible_authors.fill(viewer_id)
            rebuild_home_timeline(viewer_id)
            yield viewer_id
        after = batch[-1]


def rebuild_author_timeline(author_id: int) -> bool:
    """Rebuild a cold author timeline. Return False as `rebuild_home_timeline` does."""
    return _rebuild(keys.author_timeline(author_id), "author", lambda: _load_timeline([author_id]))


def load_home_timeline(viewer_id: int) -> Timeline:
    """Query the posts that belong in a home timeline: those of all visible authors except celebrities.

    Authors in transition are included, because their posts are pushed in both transitional states. Without
    authors being promoted, a reader with the old celebrity set would miss their posts.
    """
    authors = visible_authors.load(viewer_id)
    return _load_timeline([author_id for author_id, state in authors.items() if state != CelebrityState.CELEBRITY])


def _rebuild(key: str, kind: str, load: Callable[[], Timeline]) -> bool:
    with REBUILD_SLOTS:
        token = timeline_store.begin_rebuild(key)
        if token is None:
            return False
        with FEED_REBUILD_SECONDS.labels(kind).time():
            return timeline_store.finish_rebuild(key, token, load())


def _load_timeline(author_ids: Sequence[int]) -> Timeline:
    """Query at most FEED_LENGTH posts, and one more to know whether the timeline is complete to the beginning."""
    limit = settings.FEED_LENGTH
    post_ids = query_latest_post_ids(author_ids, before=MAX_ID, limit=limit + 1, using="default")
    if len(post_ids) > limit:
        return Timeline(post_ids[:limit], floor=post_ids[limit])
    return Timeline(post_ids, floor=0)
