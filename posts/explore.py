"""Explore: recent public posts ranked by engagement, one ranking for all viewers, recomputed every few seconds.

A stored ranking never changes, and a cursor names its ranking. So pages neither repeat nor skip a post, even when newer
rankings appear while a client pages. A ranking and the cursors that name it are valid for a day. Every read checks
which posts the viewer can see.

Score: (likes + 2 · comments + 1) / (hours + 2) ** 1.5, after Hacker News ("news.arc", Paul Graham: points over age,
with an exponent called gravity). The added 1 ranks new posts above old posts without likes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.utils import timezone

from instafeed.core import compact_json
from instafeed.core.api.pagination.filtered import fetch_filtered_page
from instafeed.core.cache import keys
from instafeed.core.cache.read_through import ReadThroughCache
from instafeed.core.db.advisory_locks import try_acquire
from posts.models import ExploreRanking
from posts.visibility import render_visible_posts

MAX_CANDIDATES = 10_000  # the newest public posts, which a ranking is computed from
MAX_POSTS_SCANNED = 100_000  # the newest posts, searched for candidates
MAX_RANKING_LENGTH = 1_000  # posts
RANKING_RETENTION = timedelta(hours=24)
RANKING_STALE_AFTER = timedelta(seconds=60)  # several beat intervals; a reader computes a stale ranking itself

_RANKING_LOCK = "explore:ranking"
_NEWEST_ID = 0  # the one id of `_cached_newest_id`


class RankingPosition(NamedTuple):
    """The position of a page's last post in its ranking."""

    ranking_id: int
    position: int


class RankingExpired(LookupError):
    """The ranking was deleted or never existed."""


def get_page(viewer_id: int, after: RankingPosition | None, limit: int) -> tuple[list[bytes], RankingPosition | None]:
    """Return up to `limit` posts as JSON after position `after`, and the last one's position if there are more.

    Leaves out posts that the viewer cannot see, posts of private accounts, and posts of muted authors. A page is short
    only at the end of the ranking. Raises RankingExpired.
    """
    ranking_id = get_newest_ranking_id() if after is None else after.ranking_id
    if ranking_id is None:
        return [], None
    post_ids = get_ranking(ranking_id)

    def fetch_keys(before: int | None, count: int) -> tuple[list[int], bool]:
        start = 0 if before is None else before + 1
        return list(range(start, min(start + count, len(post_ids)))), start + count >= len(post_ids)

    def render_visible(positions: Sequence[int]) -> list[tuple[int, bytes]]:
        ids = [post_ids[position] for position in positions]
        rendered = dict(render_visible_posts(viewer_id, ids, public_only=True, unmuted_only=True))
        return [(position, rendered[post_ids[position]]) for position in positions if post_ids[position] in rendered]

    rows, last = fetch_filtered_page(fetch_keys, render_visible, after and after.position, limit)
    return rows, None if last is None else RankingPosition(ranking_id, last)


def get_ranking(ranking_id: int) -> list[int]:
    """Return the post ids of a ranking, best first. Raises RankingExpired."""
    raw = _cached_rankings.get([ranking_id]).get(ranking_id)
    if raw is None:
        raise RankingExpired
    post_ids: list[int] = json.loads(raw)
    return post_ids


def get_newest_ranking_id() -> int | None:
    """Return the id of the newest ranking; compute one first if it is missing or stale.

    Returns None if there is no ranking yet and another process is computing the first one.
    """
    raw = _cached_newest_id.get([_NEWEST_ID]).get(_NEWEST_ID)
    return None if raw is None else int(raw)


def compute_ranking() -> int | None:
    """Store a new ranking and delete expired ones. Return its id, or None if another process is computing one."""
    with transaction.atomic(), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        if not try_acquire(_RANKING_LOCK):
            return None
        bounds = {"scanned": MAX_POSTS_SCANNED, "candidates": MAX_CANDIDATES, "length": MAX_RANKING_LENGTH}
        cursor.execute(_RANKING_SQL, bounds)
        ranking = ExploreRanking.objects.create(post_ids=[row[0] for row in cursor.fetchall()])
        ExploreRanking.objects.filter(created_at__lt=timezone.now() - RANKING_RETENTION).delete()
    return ranking.pk


def _load_newest_id(_: Sequence[int]) -> Mapping[int, bytes]:
    last = ExploreRanking.objects.using(DEFAULT_DB_ALIAS).order_by("-pk").values_list("pk", "created_at").first()
    if last is not None and last[1] > timezone.now() - RANKING_STALE_AFTER:
        return {_NEWEST_ID: b"%d" % last[0]}
    found = compute_ranking() or (last and last[0])
    return {_NEWEST_ID: b"%d" % found} if found else {}


def _load_rankings(ranking_ids: Sequence[int]) -> Mapping[int, bytes]:
    rows = ExploreRanking.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=ranking_ids).values_list("pk", "post_ids")
    return {pk: compact_json.encode(post_ids) for pk, post_ids in rows}


# Absence is not cached: a missing ranking may be computed a moment later, and cursors can be guessed.
_cached_newest_id = ReadThroughCache(
    lambda _: keys.CURRENT_RANKING, _load_newest_id, keys.CURRENT_RANKING_TTL, can_cache_absence=lambda _: False
)
_cached_rankings = ReadThroughCache(keys.ranking, _load_rankings, keys.RANKING_TTL, can_cache_absence=lambda _: False)

# Raw SQL, for POWER and the plan: read the newest posts from the end of the primary key, and look up the author of each
# until there are enough public ones. The LIMIT of the lookup keeps PostgreSQL from joining with all users instead.
# 100,000 posts by 50,000 private authors take 0.35 s (EXPLAIN ANALYZE, warm). Floating point, because PostgreSQL's
# numeric POWER alone takes longer than the rest of the query.
_RANKING_SQL = """
WITH candidate AS MATERIALIZED (
    SELECT post.id, post.created_at FROM (
        SELECT id, author_id, created_at FROM posts_post
        WHERE hidden_at IS NULL AND deleted_at IS NULL
        ORDER BY id DESC LIMIT %(scanned)s
    ) AS post
    CROSS JOIN LATERAL (
        SELECT FROM accounts_user WHERE id = post.author_id AND is_active AND NOT is_private LIMIT 1
    ) AS public_author
    ORDER BY post.id DESC LIMIT %(candidates)s
), engagement AS MATERIALIZED (
    SELECT subject_id, sum(likes) + 2 * sum(comments) AS points FROM posts_counter
    WHERE subject_id IN (SELECT id FROM candidate)
    GROUP BY subject_id
), scored AS (
    SELECT candidate.id,
           (coalesce(points, 0) + 1)::float8 AS points,
           greatest(extract(epoch FROM now() - candidate.created_at)::float8 / 3600, 0) AS hours
    FROM candidate LEFT JOIN engagement ON engagement.subject_id = candidate.id
)
SELECT id FROM scored ORDER BY points / power(hours + 2, 1.5) DESC, id DESC LIMIT %(length)s
"""
