"""The transactional outbox of fan-outs: one `FanOut` row for each post, from enqueued to done.

A row is a leased job (`instafeed.core.jobs.leased`): pending, running, then done. It returns to pending at the end of
an unfinished round and after a failure, and becomes a dead letter after `MAX_ATTEMPTS` retries in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now

from accounts.models import CelebrityState
from feeds.models import DeliveryMode, FanOut
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import JobState, LeasedQueue
from posts.models import Post

CLAIM_TTL = timedelta(seconds=15)  # many times the length of a round: only a dead worker's claim expires
RETRY_DELAY = timedelta(seconds=5)
MAX_ATTEMPTS = 10  # failures in a row that are retried

# Raw SQL: the ORM has no INSERT … SELECT, and each post runs this. The row lock makes posts and celebrity transitions
# serial. Otherwise a post that commits during a demotion could be neither pushed nor pulled (ADR 3).
_ENQUEUE_SQL = """
INSERT INTO feeds_fanout (post_id, author_id, mode)
SELECT %(post)s, id, CASE celebrity_state WHEN %(celebrity)s THEN %(pull)s ELSE %(push)s END
FROM accounts_user WHERE id = %(author)s FOR NO KEY UPDATE
"""
# Raw SQL: one statement instead of five, for each look of a worker. It claims nothing if a due fan-out has failed
# before: `LeasedQueue.claim_due` knows how to claim those.
_CLAIM_SQL = """
WITH due AS (
    SELECT post_id, due_at, attempts > 0 OR state = %(running)s AS has_failed FROM feeds_fanout
    WHERE state IN (%(pending)s, %(running)s) AND due_at <= statement_timestamp()
    ORDER BY due_at, post_id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE feeds_fanout SET state = %(running)s, lease = %(lease)s, due_at = statement_timestamp() + %(duration)s
    WHERE post_id IN (SELECT post_id FROM due) AND NOT EXISTS (SELECT FROM due WHERE has_failed)
    RETURNING post_id, state, lease, attempts, author_id, mode, last_follower_id, created_at
)
SELECT state, due.due_at, lease, attempts, claimed.post_id, claimed.author_id, mode, last_follower_id,
       claimed.created_at, post.media_pending
FROM due JOIN posts_post AS post ON post.id = due.post_id LEFT JOIN claimed USING (post_id)
ORDER BY due.due_at, due.post_id
"""
# In the order of the model, as `from_db` expects.
_CLAIMED_FIELDS = (
    "state",
    "due_at",
    "lease",
    "attempts",
    "post_id",
    "author_id",
    "mode",
    "last_follower_id",
    "created_at",
)
# Raw SQL: the ORM writes a CASE with an arm for each row, which takes longer to compile than to execute. The posts are
# given twice, as PostgreSQL plans an update for the partitions of constants, but for all partitions of a join.
_MARK_DONE_SQL = """
UPDATE feeds_fanout AS fan_out
SET state = %(done)s, lease = NULL, error = '', last_follower_id = 0, finished_at = statement_timestamp(),
    deliveries = fan_out.deliveries + finished.deliveries
FROM unnest(%(posts)s::bigint[], %(leases)s::uuid[], %(deliveries)s::int[]) AS finished (post_id, lease, deliveries)
WHERE fan_out.post_id = ANY(%(posts)s::bigint[]) AND fan_out.post_id = finished.post_id
  AND fan_out.lease = finished.lease AND fan_out.state = %(running)s
"""

queue = LeasedQueue(
    FanOut.objects.select_related("post").only(
        *("author_id", "mode", "state", "due_at", "attempts", "last_follower_id", "created_at"), "post__media_pending"
    ),
    task=CoalescedTask(queues.DELIVER_POSTS),
    lease=CLAIM_TTL,
    retry_delay=RETRY_DELAY,
    max_attempts=MAX_ATTEMPTS,
    isolates_failures=True,
)


@dataclass(eq=False)
class Progress:
    """How far a round has delivered a claimed fan-out."""

    fan_out: FanOut
    last_follower_id: int = field(init=False)
    deliveries: int = 0  # pushes of this round to warm home timelines
    is_finished: bool = field(init=False)

    def __post_init__(self) -> None:
        self.last_follower_id = self.fan_out.last_follower_id
        self.is_finished = self.fan_out.mode == DeliveryMode.PULL  # readers pull it: nothing to push

    @property
    def has_begun(self) -> bool:
        """Whether this round has reached any follower."""
        return self.last_follower_id != self.fan_out.last_follower_id


def enqueue(post_id: int, author_id: int) -> None:
    """Write the row of a new post, to be pulled if its author is a celebrity, else to be pushed.

    Call it in the transaction that creates the post.
    """
    modes = {"celebrity": CelebrityState.CELEBRITY, "pull": DeliveryMode.PULL, "push": DeliveryMode.PUSH}
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_ENQUEUE_SQL, {"post": post_id, "author": author_id, **modes})


def claim_due(limit: int) -> tuple[list[FanOut], bool]:
    """Claim up to `limit` due fan-outs, due longest first. Return them and whether more may be due.

    They have the fields that a delivery needs, and their post has `media_pending`.
    """
    values: dict[str, Any] = {"limit": limit, "lease": uuid4(), "duration": CLAIM_TTL}
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_CLAIM_SQL, values | {"pending": JobState.PENDING, "running": JobState.RUNNING})
        rows = cursor.fetchall()
    if any(state is None for state, *_ in rows):
        return queue.claim_due(limit), queue.has_due()
    return [_build_claimed(*row) for row in rows], len(rows) == limit


def _build_claimed(*values: Any) -> FanOut:
    *own, media_pending = values
    fan_out = FanOut.from_db(DEFAULT_DB_ALIAS, _CLAIMED_FIELDS, own)
    fan_out.post = Post.from_db(DEFAULT_DB_ALIAS, ("id", "media_pending"), (fan_out.pk, media_pending))
    return fan_out


def checkpoint(progress: Sequence[Progress]) -> int:
    """End a round of unfinished fan-outs and save their progress. Return how many still had their lease."""
    if not progress:
        return 0
    return queue.checkpoint(
        *(one.fan_out for one in progress),
        # Behind the others; but a fan-out that the round did not reach keeps its place before them.
        due_at=Case(
            *(When(pk=one.fan_out.pk, then=Value(one.fan_out.due_at)) for one in progress if not one.has_begun),
            default=Now(),
        ),
        last_follower_id=Case(*(When(pk=one.fan_out.pk, then=Value(one.last_follower_id)) for one in progress)),
        # One statement for all rows of a round, each with its own number.
        deliveries=F("deliveries") + Case(*(When(pk=one.fan_out.pk, then=Value(one.deliveries)) for one in progress)),
    )


def mark_done(progress: Sequence[Progress]) -> int:
    """Finish fan-outs. Return how many still had their lease.

    Clear the checkpoints too: they are followers' ids, and a finished row must not keep personal data.
    """
    if not progress:
        return 0
    columns: dict[str, Any] = {
        "posts": [one.fan_out.pk for one in progress],
        "leases": [one.fan_out.lease for one in progress],
        "deliveries": [one.deliveries for one in progress],
    }
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_MARK_DONE_SQL, {**columns, "done": JobState.DONE, "running": JobState.RUNNING})
        return cursor.rowcount
