"""Delivering a post: audience page → Lua push → checkpoint, one bounded slice at a time.

Everything here may run twice, late, or after a crash in the middle: a push into a list that has the post
already is a double that readers drop, and the checkpoint only ever lags behind the deliveries.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import redis
from django.conf import settings
from django.utils import timezone

from feeds import fanout_outbox, rate_limiter, timeline_store
from feeds.fanout_outbox import Claim
from feeds.models import DeliveryMode
from instafeed.core.observability.metrics import DELIVERIES, FAN_OUT_SLICES, POST_VISIBLE_SECONDS
from social.selectors import fetch_follower_page

logger = logging.getLogger(__name__)

READ_AHEAD_BATCHES = 5  # batches in one query
SLICE_SECONDS = 1.0  # seconds of work before a task makes room for others


def deliver_to_author(post_id: int, author_id: int) -> None:
    """Show the post in its author's own feed and list at once, before any task ran.

    A failure is only logged: readers without Redis use SQL, and the first slice does the same again.
    """
    try:
        _push_to_author(post_id, author_id)
    except redis.RedisError as error:
        logger.warning("post %s is not in its author's feed yet: %s", post_id, error)


def _push_to_author(post_id: int, author_id: int) -> None:
    # Into the author's list whatever the author's state: while it moves, pushed posts are pulled as well.
    timeline_store.push_to_author_timeline(author_id, post_id)
    timeline_store.push_to_feeds([author_id], post_id)


def deliver_slice(post_id: int) -> bool:
    """Work on one post's fan-out for about a second; True when more is left to do.

    Failures are noted in the ledger, from where the sweeper takes up the rest.
    """
    claim = fanout_outbox.claim(post_id)
    outcome = _run_slice(claim) if claim else "unclaimed"
    FAN_OUT_SLICES.labels(outcome).inc()
    return outcome == "continued"


def _run_slice(claim: Claim) -> str:
    """How it ended: a label of the metric."""
    try:
        _push_to_author(claim.post_id, claim.author_id)
        return _push_to_followers(claim) if claim.mode == DeliveryMode.PUSH else _finish(claim, 0)
    except redis.RedisError as error:
        # Not the post's fault; without Redis there are no feeds to deliver to. It never becomes a dead letter.
        fanout_outbox.retry_later(claim, error, counts=False)
        return "postponed"
    except Exception as error:
        logger.exception("fan-out of post %s failed", claim.post_id)
        fanout_outbox.retry_later(claim, error, counts=True)
        return "failed"


def _finish(claim: Claim, deliveries: int) -> str:
    if not fanout_outbox.mark_done(claim, deliveries):
        return "overtaken"
    if claim.visible_since is not None:
        seconds = (timezone.now() - claim.visible_since).total_seconds()
        POST_VISIBLE_SECONDS.labels(claim.mode.name.lower()).observe(max(0.0, seconds))
    return "finished"


def _push_to_followers(claim: Claim) -> str:
    """Push to the audience batch by batch until the slice is over."""
    ends = time.monotonic() + SLICE_SECONDS
    last_follower_id, deliveries = claim.last_follower_id, 0
    for batch in _follower_batches(claim.author_id, last_follower_id):
        if not _wait_for_rate_limiter(len(batch), ends):
            break
        pushed = timeline_store.push_to_feeds(batch, claim.post_id)
        DELIVERIES.inc(pushed)
        deliveries += pushed
        last_follower_id = batch[-1]
        if time.monotonic() > ends:
            break
    else:
        # Whoever follows from now on rebuilds its feed and finds the post there.
        return _finish(claim, deliveries)
    # A lost claim means that another worker has gone on; it needs no help.
    return "continued" if fanout_outbox.checkpoint(claim, last_follower_id, deliveries) else "overtaken"


def _follower_batches(author_id: int, last_follower_id: int) -> Iterator[list[int]]:
    """The audience in batches for Redis, several to a query: five queries for as many rows take twice as long."""
    size = settings.FAN_OUT_BATCH_SIZE
    if settings.FAN_OUT_RATE_LIMIT:
        size = min(size, settings.FAN_OUT_RATE_LIMIT)  # or a batch could outwait every slice
    while True:
        followers = fetch_follower_page(author_id, last_follower_id, READ_AHEAD_BATCHES * size)
        for start in range(0, len(followers), size):
            yield followers[start : start + size]
        if len(followers) < READ_AHEAD_BATCHES * size:
            return
        last_follower_id = followers[-1]


def _wait_for_rate_limiter(deliveries: int, ends: float) -> bool:
    """Wait until the deliveries are granted; False when that would outlast the slice."""
    while (wait := rate_limiter.acquire(deliveries)) > 0:
        if time.monotonic() + wait > ends + SLICE_SECONDS:
            return False
        time.sleep(wait)
    return True
