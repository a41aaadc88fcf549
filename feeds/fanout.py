"""Deliver a post to its author's followers: page through the audience, push to Redis, save a checkpoint.

`deliver_slice` works for about a second, so that one author's million followers do not hold up other posts.

Every step may run twice, late, or after a crash: pushing a post that a timeline already holds adds a duplicate
that readers drop, and the checkpoint is never ahead of the deliveries.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import redis
from django.conf import settings
from django.utils import timezone

from feeds import fanout_outbox, rate_limiter, timeline_store
from feeds.models import DeliveryMode, FanOut
from instafeed.core.jobs.leased import Outcome
from instafeed.core.observability.metrics import DELIVERIES, FAN_OUT_SLICES, POST_VISIBLE_SECONDS
from social.selectors import fetch_follower_page

logger = logging.getLogger(__name__)

READ_AHEAD_BATCHES = 5  # batches that one query reads
SLICE_SECONDS = 1.0


def deliver_to_author(post_id: int, author_id: int) -> None:
    """Push a new post to its author's own timelines right after the commit, before any worker runs.

    Only log a Redis failure: readers without Redis use SQL, and the first slice pushes again.
    """
    try:
        _push_to_author(post_id, author_id)
    except redis.RedisError as error:
        logger.warning("post %s is not in its author's timelines yet: %s", post_id, error)


def deliver_slice(post_id: int) -> Outcome:
    """Claim a post and deliver it to followers for about `SLICE_SECONDS`.

    Save failures in the outbox; the sweep dispatches the post again (`feeds.fanout_sweeper`).
    """
    fan_out = fanout_outbox.queue.claim(post_id)
    outcome = fanout_outbox.queue.run(fan_out, _deliver)
    FAN_OUT_SLICES.labels(outcome).inc()
    return outcome


def _deliver(fan_out: FanOut) -> Outcome:
    _push_to_author(fan_out.post_id, fan_out.author_id)
    if fan_out.mode == DeliveryMode.PULL:
        return _finish(fan_out, deliveries=0)
    return _push_to_followers(fan_out)


def _push_to_author(post_id: int, author_id: int) -> None:
    # The author timeline is written in every celebrity state: during a transition, pushed posts are pulled as well.
    timeline_store.push_to_author_timeline(author_id, post_id)
    timeline_store.push_to_home_timelines([author_id], post_id)


def _push_to_followers(fan_out: FanOut) -> Outcome:
    """Push to the audience batch by batch until it or the slice ends."""
    slice_end = time.monotonic() + SLICE_SECONDS
    last_follower_id, deliveries = fan_out.last_follower_id, 0
    for follower_ids in _follower_batches(fan_out.author_id, last_follower_id):
        if not _wait_for_rate_limiter(len(follower_ids), slice_end):
            break
        pushed = timeline_store.push_to_home_timelines(follower_ids, fan_out.post_id)
        DELIVERIES.inc(pushed)
        deliveries += pushed
        last_follower_id = follower_ids[-1]
        if time.monotonic() > slice_end:
            break
    else:
        # A user who follows from now on gets a rebuilt home timeline that has the post.
        return _finish(fan_out, deliveries)
    is_saved = fanout_outbox.checkpoint(fan_out, last_follower_id, deliveries)
    return Outcome.CONTINUED if is_saved else Outcome.OVERTAKEN


def _finish(fan_out: FanOut, deliveries: int) -> Outcome:
    if not fanout_outbox.mark_done(fan_out, deliveries):
        return Outcome.OVERTAKEN
    if not fan_out.post.media_pending:
        seconds = (timezone.now() - fan_out.created_at).total_seconds()
        POST_VISIBLE_SECONDS.labels(DeliveryMode(fan_out.mode).name.lower()).observe(max(0.0, seconds))
    return Outcome.FINISHED


def _follower_batches(author_id: int, last_follower_id: int) -> Iterator[list[int]]:
    """Yield the ids of the audience after the checkpoint in batches of one Redis call.

    One query reads several batches: five queries for as many rows take twice as long.
    """
    size = settings.FAN_OUT_BATCH_SIZE
    if settings.FAN_OUT_RATE_LIMIT:
        size = min(size, settings.FAN_OUT_RATE_LIMIT)  # a larger batch would wait longer than a slice, every time
    while True:
        follower_ids = fetch_follower_page(author_id, last_follower_id, READ_AHEAD_BATCHES * size)
        for start in range(0, len(follower_ids), size):
            yield follower_ids[start : start + size]
        if len(follower_ids) < READ_AHEAD_BATCHES * size:
            return
        last_follower_id = follower_ids[-1]


def _wait_for_rate_limiter(deliveries: int, slice_end: float) -> bool:
    """Wait until the rate limiter grants the deliveries. Return False if that takes longer than a slice more."""
    while (wait := rate_limiter.acquire(deliveries)) > 0:
        if time.monotonic() + wait > slice_end + SLICE_SECONDS:
            return False
        time.sleep(wait)
    return True
