"""Viewers of a site that `benchmarks.bulk_rows` filled: access tokens, warm feeds, and their pages from plain SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django.db import connection
from django.utils import timezone

from accounts import tokens
from accounts.models import Session
from benchmarks import http_client, open_loop
from benchmarks.child_process import ChildProcess
from benchmarks.http_client import HttpConnection
from benchmarks.open_loop import Request, Schedule
from benchmarks.results import BenchmarkError
from feeds import timeline_store, visible_authors
from instafeed.core.api.pagination.cursors import DEFAULT_LIMIT

WARM_UP_BATCH_SIZE = 1_000  # viewers
WARM_UP_CONNECTIONS = 8

# Random ones among those who follow neither few nor very many, with or without celebrities.
_CHOICE_SQL = """
SELECT viewer.id FROM accounts_user AS viewer
WHERE is_active AND NOT is_staff AND following_count BETWEEN %(fewest)s AND %(most)s
  AND %(hybrid)s = EXISTS (
      SELECT FROM social_follow JOIN accounts_user AS author ON author.id = followee_id
      WHERE follower_id = viewer.id AND author.celebrity_state <> 0)
ORDER BY hashint8extended(viewer.id, 7) LIMIT %(count)s
"""
_PAGE_SQL = """
SELECT post.id FROM posts_post AS post JOIN accounts_user AS author ON author.id = post.author_id AND author.is_active
WHERE hidden_at IS NULL AND post.deleted_at IS NULL AND NOT media_pending
  AND (author.id = %(viewer)s
       OR author.id IN (SELECT followee_id FROM social_follow WHERE follower_id = %(viewer)s)
          AND author.id NOT IN (SELECT muted_id FROM social_mute WHERE muter_id = %(viewer)s))
ORDER BY post.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Viewer:
    pk: int
    token: str

    def page(self) -> bytes:
        """Return the request for the first page of the feed."""
        return http_client.get("/api/v1/feed", self.token)


def choose_viewers(count: int, *, hybrid: bool, followees: tuple[int, int]) -> list[Viewer]:
    """Sign in `count` users who follow celebrities (`hybrid`) or none, and at least and at most `followees` in all.

    Raise BenchmarkError if there are fewer.
    """
    fewest, most = followees
    with connection.cursor() as cursor:
        cursor.execute(_CHOICE_SQL, {"fewest": fewest, "most": most, "hybrid": hybrid, "count": count})
        ids = [row[0] for row in cursor.fetchall()]
    if len(ids) < count:
        raise BenchmarkError(f"only {len(ids)} users follow {fewest} to {most} others, with celebrities: {hybrid}")
    expires_at = timezone.now() + timedelta(days=1)
    sessions = Session.objects.bulk_create(
        [Session(user_id=pk, refresh_jti=uuid4().hex, expires_at=expires_at) for pk in ids], batch_size=5_000
    )
    return [
        Viewer(session.user_id, tokens.issue(session.user_id, session.pk, session.refresh_jti).access)
        for session in sessions
    ]


def warm_up(client: ChildProcess, viewers: Sequence[Viewer]) -> int:
    """Read every viewer's first page. Return how many answers were not 200."""
    errors = 0
    for start in range(0, len(viewers), WARM_UP_BATCH_SIZE):
        requests = [Request("feed", viewer.page()) for viewer in viewers[start : start + WARM_UP_BATCH_SIZE]]
        answers = open_loop.run(client, Schedule(requests, 0, connections=WARM_UP_CONNECTIONS))
        errors += answers.count_others(200)
    return errors


def make_cold(viewer_ids: Iterable[int]) -> None:
    """Delete the keys that a follow or an unfollow deletes: home timelines and visible authors."""
    timeline_store.evict(visible_authors.home_timeline_keys(viewer_ids))


def count_wrong_pages(port: int, viewers: Sequence[Viewer]) -> int:
    """Count first pages that are not those of plain SQL."""
    wrong = 0
    http = HttpConnection(port)
    with connection.cursor() as cursor:
        for viewer in viewers:
            cursor.execute(_PAGE_SQL, {"viewer": viewer.pk, "limit": DEFAULT_LIMIT})
            expected = [row[0] for row in cursor.fetchall()]
            status, body = http.exchange(viewer.page())
            shown = [int(post["id"]) for post in json.loads(body)["results"]] if status == 200 else None
            wrong += shown != expected
    http.close()
    return wrong
