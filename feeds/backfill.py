"""Timelines from PostgreSQL: the queries for the posts of many authors, and the rebuild of a cold timeline.

A rebuild claims the key first and queries afterwards. A post pushed before the claim was committed before it, so
the query sees it; a post pushed later lands in the claimed list and is kept. Each key has one rebuild at a time,
and `REBUILD_SLOTS` bounds how many each process runs against the database when Redis is empty.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connections, router
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import CelebrityState, User
from feeds import timeline_store, visible_authors
from feeds.timeline_store import Timeline
from instafeed.core.cache import commands, keys
from instafeed.core.db.snowflake import MAX_ID, first_id_at, timestamp_of_id, upper_bound
from instafeed.core.observability.metrics import FEED_PULLS, FEED_REBUILD_SECONDS
from posts.models import Post

REBUILD_SLOTS = threading.BoundedSemaphore(4)

# More authors than this are first looked for in a window of time: one statement that finds enough posts soon, or says
# how many there are. Without one, each author costs a probe of the index, 5 to 10 µs (measured with 3 million posts).
MAX_PROBED_AUTHORS = 100
POSTS_PER_DAY = 2  # of an author, for the length of the first window
MAX_WINDOW_GROWTH = 16  # of the second window

# Raw SQL: the ORM has no LATERAL, and no subquery that PostgreSQL must compute as it is. Without OFFSET 0 it may walk
# the newest posts of all users until it has found enough, which never ends for authors without recent posts.
WINDOW_SQL = """
SELECT id FROM (
    SELECT id FROM posts_post
    WHERE author_id = ANY(%(authors)s::bigint[]) AND id < %(before)s AND id >= %(since)s
    OFFSET 0
) AS recent
ORDER BY id DESC LIMIT %(limit)s
"""
# The newest posts of each author contain enough posts above `bound`. Only authors all of whose posts found here are
# above it can have further ones there. These are below `before` anyway; the constant leaves partitions out of the plan.
PROBE_SQL = """
WITH newest AS MATERIALIZED (
    SELECT author.id AS author_id, post.id
    FROM unnest(%(authors)s::bigint[]) AS author(id)
    CROSS JOIN LATERAL (
        SELECT id FROM posts_post
        WHERE author_id = author.id AND id < %(before)s
        ORDER BY id DESC LIMIT %(probe)s
    ) AS post
), bound AS MATERIALIZED (
    SELECT coalesce((SELECT id FROM newest ORDER BY id DESC OFFSET %(limit)s - 1 LIMIT 1), 0) AS id
), above AS (
    SELECT author_id, id FROM newest WHERE id >= (SELECT id FROM bound)
), unfinished AS (
    SELECT author_id, min(id) AS oldest FROM above GROUP BY author_id HAVING count(*) = %(probe)s
)
SELECT id FROM above
UNION ALL
SELECT older.id FROM unfinished CROSS JOIN LATERAL (
    SELECT id FROM posts_post
    WHERE author_id = unfinished.author_id AND id < unfinished.oldest AND id >= (SELECT id FROM bound)
      AND id < %(before)s
    ORDER BY id DESC LIMIT %(limit)s
) AS older
ORDER BY id DESC LIMIT %(limit)s
"""
AUTHOR_TIMELINES_SQL = """
SELECT author.id, ARRAY(
    SELECT id FROM posts_post WHERE author_id = author.id AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s
)
FROM unnest(%(authors)s::bigint[]) AS author(id)
"""


def query_latest_post_ids(author_ids: Sequence[int], before: int, limit: int, *, using: str | None = None) -> list[int]:
    """Return the newest `limit` post ids of these authors below `before`, descending; fewer if there are no more.

    Queries the database that the router chooses, unless `using` names one. The cost depends on the number of authors
    and the limit, not on the number of posts.
    """
    if not author_ids:
        return []
    arguments: dict[str, Any] = {
        "authors": _array(author_ids),
        "before": min(before, upper_bound()),
        "limit": limit,
    }
    with connections[using or router.db_for_read(Post)].cursor() as cursor:
        if len(author_ids) > MAX_PROBED_AUTHORS:
            duration = timedelta(days=limit / len(author_ids) / POSTS_PER_DAY)
            if post_ids := _query_windows(cursor, arguments, duration):
                FEED_PULLS.labels("window").inc()
                return post_ids
        cursor.execute(PROBE_SQL, {**arguments, "probe": min(limit, 2 * limit // len(author_ids) + 1)})
        FEED_PULLS.labels("by_author").inc()
        return [row[0] for row in cursor.fetchall()]


def _query_windows(cursor: CursorWrapper, arguments: dict[str, Any], duration: timedelta) -> list[int] | None:
    """Return the newest posts if they are all from the last `duration` or from a window sized by the posts in that.

    Return None if neither contains enough.
    """
    limit, newest = arguments["limit"], min(timestamp_of_id(arguments["before"]), timezone.now())
    for _ in range(2):
        cursor.execute(WINDOW_SQL, {**arguments, "since": first_id_at(newest - duration)})
        post_ids = [row[0] for row in cursor.fetchall()]
        if len(post_ids) == limit:
            return post_ids
        duration *= min(MAX_WINDOW_GROWTH, 2 * limit // max(1, len(post_ids)))
    return None


def _array(ids: Iterable[int]) -> str:
    """Return the ids as an array for PostgreSQL. psycopg takes a millisecond for a list of a thousand."""
    return "{" + ",".join(map(str, ids)) + "}"


def rebuild_home_timeline(viewer_id: int) -> bool:
    """Rebuild a cold home timeline, and store the visible authors, which it needs as well.

    Return False if another process does all that is missing, or if it was invalidated meanwhile.
    """
    key, token = keys.home_timeline(viewer_id), secrets.token_hex(8)
    with REBUILD_SLOTS:
        claimed, leased = commands.run_unguarded(
            [timeline_store.begin_rebuild_command(key, token), visible_authors.lease_command(viewer_id, token)]
        )
        if not claimed and not leased:
            return False
        with FEED_REBUILD_SECONDS.labels("feed").time():
            authors = visible_authors.load(viewer_id)
            stores = [visible_authors.fill_command(viewer_id, token, authors)] if leased else []
            if claimed:
                stores.append(timeline_store.finish_rebuild_command(key, token, load_home_timeline(authors)))
            return any(commands.run_unguarded(stores))


def rebuild_author_timelines(author_ids: Sequence[int], bucket: int) -> bool:
    """Rebuild cold author timelines for the viewers of a bucket.

    Return False if other processes do, or if all were invalidated meanwhile.
    """
    token = secrets.token_hex(8)
    with REBUILD_SLOTS:
        begun = commands.run_unguarded(
            [
                timeline_store.begin_rebuild_command(keys.author_timeline(author_id, bucket), token)
                for author_id in author_ids
            ]
        )
        claimed = [author_id for author_id, is_claimed in zip(author_ids, begun, strict=True) if is_claimed]
        if not claimed:
            return False
        with FEED_REBUILD_SECONDS.labels("author").time():
            stores = [
                timeline_store.finish_rebuild_command(keys.author_timeline(author_id, bucket), token, timeline)
                for author_id, timeline in load_author_timelines(claimed).items()
            ]
            return any(commands.run_unguarded(stores))


def replace_home_timelines(viewers: QuerySet[User], *, after: int, batch_size: int) -> Iterator[int]:
    """Evict and rebuild the home timelines of the viewers with ids above `after`, in the order of ids.

    Yield each viewer's id when it is done. The ids are read `batch_size` at a time.
    """
    ids = viewers.order_by("pk").values_list("pk", flat=True)
    while batch := list(ids.filter(pk__gt=after)[:batch_size]):
        for viewer_id in batch:
            timeline_store.evict(visible_authors.home_timeline_keys([viewer_id]))
            rebuild_home_timeline(viewer_id)
            yield viewer_id
        after = batch[-1]


def load_home_timeline(authors: Mapping[int, int]) -> Timeline:
    """Query the posts that belong in a home timeline: those of the visible authors except celebrities.

    `authors` are celebrity states by author. Authors in transition are included, because their posts are pushed in both
    transitional states. Without authors being promoted, a reader with the old celebrity set would miss their posts.
    """
    pushed = [author_id for author_id, state in authors.items() if state != CelebrityState.CELEBRITY]
    return _timeline(query_latest_post_ids(pushed, before=MAX_ID, limit=settings.FEED_LENGTH + 1, using="default"))


def load_author_timelines(author_ids: Sequence[int]) -> dict[int, Timeline]:
    """Query the author timelines of these authors, in one statement."""
    with connections["default"].cursor() as cursor:
        limit = settings.FEED_LENGTH + 1
        cursor.execute(AUTHOR_TIMELINES_SQL, {"authors": _array(author_ids), "before": upper_bound(), "limit": limit})
        return {author_id: _timeline(post_ids) for author_id, post_ids in cursor.fetchall()}


def _timeline(post_ids: list[int]) -> Timeline:
    """Return at most FEED_LENGTH of these posts. One more shows that the timeline does not reach the beginning."""
    limit = settings.FEED_LENGTH
    if len(post_ids) > limit:
        return Timeline(post_ids[:limit], floor=post_ids[limit])
    return Timeline(post_ids, floor=0)
