"""The transactional outbox of fan-outs: one `FanOut` row for each post, from enqueued to done.

A row is a leased job (`instafeed.core.jobs.leased`): pending, running, then done. It returns to pending at the end of a
slice and after a failure, and becomes a dead letter after `MAX_ATTEMPTS` retries in a row.
"""

from __future__ import annotations

from datetime import timedelta

import redis
from django.db.models import F
from django.db.models.functions import Now

from feeds.models import DeliveryMode, FanOut
from instafeed.core.jobs.leased import LeasedQueue, now_plus

CLAIM_TTL = timedelta(seconds=15)  # many times the length of a slice: only a dead worker's claim expires
RETRY_DELAY = timedelta(seconds=5)  # a row that is still pending then has lost its task
MAX_ATTEMPTS = 10  # failures in a row that are retried

queue = LeasedQueue(
    FanOut.objects.select_related("post").only(
        *("author_id", "mode", "state", "attempts", "dispatches", "last_follower_id", "created_at"),
        "post__media_pending",
    ),
    lease=CLAIM_TTL,
    retry_delay=RETRY_DELAY,
    max_attempts=MAX_ATTEMPTS,
    # Without Redis there are no timelines to deliver to. An outage never makes a dead letter.
    transient=(redis.RedisError,),
)


def enqueue(post_id: int, author_id: int, mode: DeliveryMode) -> None:
    """Write the row of a new post. Call it in the transaction that creates the post."""
    FanOut.objects.create(post_id=post_id, author_id=author_id, mode=mode, dispatch_at=now_plus(RETRY_DELAY))


def checkpoint(fan_out: FanOut, last_follower_id: int, deliveries: int) -> bool:
    """End a slice of an unfinished fan-out and save its progress. Return False if the lease was lost."""
    return queue.checkpoint(fan_out, last_follower_id=last_follower_id, deliveries=F("deliveries") + deliveries)


def mark_done(fan_out: FanOut, deliveries: int) -> bool:
    """Finish the fan-out. Return False if the lease was lost.

    Clear the checkpoint too: it is a follower's id, and a finished row must not keep personal data.
    """
    return queue.finish(fan_out, last_follower_id=0, deliveries=F("deliveries") + deliveries, finished_at=Now())
