"""Timelines from PostgreSQL: the pull in its two shapes, and the rebuild of a cold list without a hole.

A rebuild claims the key first and queries afterwards: a post pushed before the claim was committed before
it, so the query sees it; one pushed after it lands on the claimed list and is kept. Only one rebuild per
key runs, and `REBUILD_SLOTS` per process bounds what an empty Redis can ask of the database.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import connections, router

from accounts.models import CelebrityState
from feeds import timeline_store, visible_authors
from feeds.timeline_store import Timeline
from instafeed.core.cache import keys
from instafeed.core.observability.metrics import FEED_PULLS, FEED_REBUILD_SECONDS
from posts.models import Post

logger = logging.getLogger(__name__)

REBUILD_SLOTS = threading.BoundedSemaphore(4)

# Up to here one index probe per author wins; beyond, walking the newest posts of everybody does, if only it
# finds enough soon (measured with 2 million posts: docs/architecture.md, "The pull").
MAX_LATERAL_AUTHORS = 300  # authors
MAX_WALK_POSTS = 20_000  # newest posts that a walk looks at before it gives up

_LATERAL_SQL = """
SELECT newest.id
FROM unnest(%(authors)s::bigint[]) AS author(id)
CROSS JOIN LATERAL (
    SELECT id FROM posts_post
    WHERE author_id = author.id AND id < %(before)s
    ORDER BY id DESC LIMIT %(limit)s
) AS newest
ORDER BY newest.id DESC LIMIT %(limit)s
"""
_WALK_SQL = """
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
    """The newest `limit` post ids of these authors below `before`, descending.

    Reads the database that the router chooses unless told otherwise. Fewer than `limit` ids mean that there
    are no more. Raw SQL, because the ORM has no LATERAL.
    """
    if not author_ids:
        return []
    arguments: dict[str, Any] = {"authors": list(author_ids), "before": before, "limit": limit, "scan": MAX_WALK_POSTS}
    with connections[using or router.db_for_read(Post)].cursor() as cursor:
        if len(author_ids) > MAX_LATERAL_AUTHORS:
            cursor.execute(_WALK_SQL, arguments)
            ids = [row[0] for row in cursor.fetchall()]
            if len(ids) == limit:  # else the walk may have ended before the posts did
                FEED_PULLS.labels("walk").inc()
                return ids
        cursor.execute(_LATERAL_SQL, arguments)
        FEED_PULLS.labels("by_author").inc()
        return [row[0] for row in cursor.fetchall()]


def load_home_feed(viewer_id: int) -> Timeline:
    """What the viewer's list should hold: posts of everybody it sees who is not pulled.

    Authors that are being promoted or demoted are in: their posts are pushed until, and from, the moment that
    the state says celebrity. (Leaving the promoted out too would lose their posts to a reader that still
    has the old celebrity set.)
    """
    authors = visible_authors.load(viewer_id)
    return _load_timeline([author for author, state in authors.items() if state != CelebrityState.CELEBRITY])


def load_author_timeline(author_id: int) -> Timeline:
    return _load_timeline([author_id])


def _load_timeline(author_ids: Sequence[int]) -> Timeline:
    """At most FEED_LENGTH posts; one more is asked for, to know whether the list is all there is."""
    ids = query_latest_post_ids(author_ids, before=2**63 - 1, limit=settings.FEED_LENGTH + 1, using="default")
    if len(ids) > settings.FEED_LENGTH:
        return Timeline(ids[:-1], floor=ids[-1])
    return Timeline(ids, floor=0)


def rebuild_home_feed(viewer_id: int) -> bool:
    """Rebuild a cold feed; False when somebody else is at it, or it was invalidated meanwhile."""
    return _rebuild(keys.home_timeline(viewer_id), viewer_id, feed=True)


def rebuild_author_timeline(author_id: int) -> bool:
    """Rebuild a cold author's list; False as above."""
    return _rebuild(keys.author_timeline(author_id), author_id, feed=False)


def _rebuild(key: str, user_id: int, *, feed: bool) -> bool:
    with REBUILD_SLOTS:
        token = timeline_store.begin_rebuild(key)
        if token is None:
            return False
        with FEED_REBUILD_SECONDS.labels("feed" if feed else "author").time():
            timeline = load_home_feed(user_id) if feed else load_author_timeline(user_id)
            return timeline_store.finish_rebuild(key, token, timeline)
