"""Explore: recent public posts, the most engaging first; one ranking for everybody, made anew every few seconds.

A ranking is a row that never changes, and a cursor names its ranking: pages of one walk neither repeat
nor skip a post, however the rankings move on meanwhile. Who may see a post is decided at every read.
A ranking is kept for a day, and so are the cursors that name it.

Score: (likes + 2 · comments + 1) / (hours + 2) ** 1.5, after Hacker News ("news.arc", Paul Graham: points over age,
with an exponent called gravity). The 1 lets new posts begin above old ones that nobody liked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.utils import timezone

from instafeed.core.api.pagination.filtered import fetch_filtered_page
from instafeed.core.cache import keys
from instafeed.core.cache.read_through import ReadThroughCache
from posts.models import ExploreRanking
from posts.visibility import render_visible_posts

MAX_CANDIDATES = 10_000  # newest posts that are looked at
MAX_RANKING_LENGTH = 1_000  # posts of a ranking
RANKING_RETENTION = timedelta(hours=24)
RANKING_STALE_AFTER = timedelta(seconds=60)  # several of the beat's intervals: nobody ranks any more, so a reader does

_RANKING_LOCK_ID = 0x6578706C6F7265  # "explore", among PostgreSQL's advisory locks
_NEWEST_ID = 0  # the one id of `_cached_newest_id`


class RankingPosition(NamedTuple):
    """The last post of a page: where it stands in which ranking."""

    ranking_id: int
    position: int


class RankingExpired(LookupError):
    """The ranking is gone, or never was."""


def get_page(viewer_id: int, after: RankingPosition | None, limit: int) -> tuple[list[bytes], RankingPosition | None]:
    """`limit` posts as JSON behind `after`, fewer only at the end, and the place of the last if there are more.

    Left out is what does not exist for the viewer by now, posts of private accounts, and muted authors.
    Raises Expired for a place in a ranking that is gone.
    """
    ranking_id = get_newest_ranking_id() if after is None else after.ranking_id
    if ranking_id is None:
        return [], None
    post_ids = get_ranking(ranking_id)

    def fetch(before: int | None, wanted: int) -> tuple[list[int], bool]:
        start = 0 if before is None else before + 1
        return list(range(start, min(start + wanted, len(post_ids)))), start + wanted >= len(post_ids)

    def show(positions: Sequence[int]) -> list[tuple[int, bytes]]:
        ids = [post_ids[position] for position in positions]
        rendered = dict(render_visible_posts(viewer_id, ids, public_only=True, unmuted_only=True))
        return [(position, rendered[post_ids[position]]) for position in positions if post_ids[position] in rendered]

    rows, last = fetch_filtered_page(fetch, show, after and after.position, limit)
    return rows, None if last is None else RankingPosition(ranking_id, last)


def get_ranking(ranking_id: int) -> list[int]:
    """The posts of a ranking, the best first. Raises Expired."""
    raw = _cached_rankings.get([ranking_id]).get(ranking_id)
    if raw is None:
        raise RankingExpired
    post_ids: list[int] = json.loads(raw)
    return post_ids


def get_newest_ranking_id() -> int | None:
    """The newest ranking. When there is none of late it is made now; None for whoever comes while it is being made."""
    raw = _cached_newest_id.get([_NEWEST_ID]).get(_NEWEST_ID)
    return None if raw is None else int(raw)


def compute_ranking() -> int | None:
    """Rank anew and drop rankings that are too old; the ranking's id, or None if somebody else is at it."""
    with transaction.atomic(), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_RANKING_LOCK_ID])
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(_RANKING_SQL, {"candidates": MAX_CANDIDATES, "length": MAX_RANKING_LENGTH})
        made = ExploreRanking.objects.create(post_ids=[row[0] for row in cursor.fetchall()])
        ExploreRanking.objects.filter(created_at__lt=timezone.now() - RANKING_RETENTION).delete()
    return made.pk


def _load_newest_id(_: Sequence[int]) -> Mapping[int, bytes]:
    last = ExploreRanking.objects.using(DEFAULT_DB_ALIAS).order_by("-pk").values_list("pk", "created_at").first()
    if last is not None and last[1] > timezone.now() - RANKING_STALE_AFTER:
        return {_NEWEST_ID: b"%d" % last[0]}
    found = compute_ranking() or (last and last[0])
    return {_NEWEST_ID: b"%d" % found} if found else {}


def _load_rankings(ranking_ids: Sequence[int]) -> Mapping[int, bytes]:
    rows = ExploreRanking.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=ranking_ids).values_list("pk", "post_ids")
    return {pk: json.dumps(post_ids, separators=(",", ":")).encode() for pk, post_ids in rows}


# What is absent may be made a moment later, and cursors can be guessed: absence is not remembered.
_cached_newest_id = ReadThroughCache(
    lambda _: keys.CURRENT_RANKING, _load_newest_id, keys.CURRENT_RANKING_TTL, stays_absent=lambda _: False
)
_cached_rankings = ReadThroughCache(keys.ranking, _load_rankings, keys.RANKING_TTL, stays_absent=lambda _: False)

# Raw, for POWER and the walk: the newest posts off the end of the primary key, then their authors and counters.
# In floating point: PostgreSQL's numeric POWER alone would take longer than all the rest.
_RANKING_SQL = """
WITH recent AS MATERIALIZED (
    SELECT id, author_id, created_at FROM posts_post
    WHERE hidden_at IS NULL AND deleted_at IS NULL
    ORDER BY id DESC LIMIT %(candidates)s
), engagement AS MATERIALIZED (
    SELECT subject_id, sum(likes) + 2 * sum(comments) AS points FROM posts_counter
    WHERE subject_id IN (SELECT id FROM recent)
    GROUP BY subject_id
), scored AS (
    SELECT recent.id,
           (coalesce(points, 0) + 1)::float8 AS points,
           greatest(extract(epoch FROM now() - recent.created_at)::float8 / 3600, 0) AS hours
    FROM recent
    JOIN accounts_user AS author ON author.id = recent.author_id AND author.is_active AND NOT author.is_private
    LEFT JOIN engagement ON engagement.subject_id = recent.id
)
SELECT id FROM scored ORDER BY points / power(hours + 2, 1.5) DESC, id DESC LIMIT %(length)s
"""
