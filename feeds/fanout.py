"""Deliver posts: to their authors at once, to followers in rounds that save how far they came.

Every step may run twice, late, or after a crash: pushing a post that a timeline already holds adds a duplicate
that readers drop, and the checkpoint is never ahead of the deliveries.

A server of a Redis Cluster that fails does not delay the others' viewers (`missed_buckets`).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from redis.exceptions import ClusterDownError

from feeds import fanout_outbox, missed_buckets, rate_limiter, timeline_store
from feeds.fanout_outbox import Progress
from feeds.models import DeliveryMode, FanOut
from feeds.timeline_store import Push
from instafeed.core.cache import hints, keys
from instafeed.core.cache.hints import HintKind
from instafeed.core.jobs.leased import Outcome
from instafeed.core.observability.metrics import DELIVERIES, POST_VISIBLE_SECONDS
from social.selectors import fetch_follower_pages

Batch = list[tuple[Progress, list[int]]]  # parts of audiences: the follower ids after each `last_follower_id`
logger = logging.getLogger(__name__)

READ_AHEAD_BATCHES = 5  # batches that one query reads, if few fan-outs share it
CLUSTER_BATCHES = 4  # that are sent together: each of a cluster's buckets gets a part of them, in a call of its own
ROUND_SECONDS = 0.25
RATE_LIMIT_WAIT = 1.0  # seconds that a round may wait for the rate limiter
# Errors of Redis that are not those of one key. A script reports the last ones as a plain ResponseError.
_OUTAGES = (redis.ConnectionError, redis.TimeoutError, ClusterDownError)
_OUTAGE_WORDS = ("OOM", "READONLY", "MISCONF", "NOREPLICAS")


def deliver_to_author(post_id: int, author_id: int) -> None:
    """Push a new post to its author's own timelines right after the commit, before any worker runs.

    Only log a Redis failure: readers without Redis use SQL, and the first round pushes again.
    """
    try:
        timeline_store.push_to_author_timelines([(author_id, post_id)])
        timeline_store.push_to_home_timelines([Push(post_id, [author_id])])
    except redis.RedisError as error:
        logger.warning("post %s is not in its author's timelines yet: %s", post_id, error)


def deliver(fan_outs: Sequence[FanOut]) -> Counter[Outcome]:
    """Deliver claimed fan-outs for about `ROUND_SECONDS`, and save which are finished and how far the others came.

    If that fails, deliver each alone, so that a fan-out that cannot be delivered does not delay the others. Raises
    django.db.OperationalError or InterfaceError if PostgreSQL fails: then the leases expire.
    """
    try:
        outcomes = _deliver_together(fan_outs)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(fan_outs) > 1 and not _is_outage(error):
            return sum((deliver([fan_out]) for fan_out in fan_outs), Counter())
        outcomes = _retry_later(fan_outs, error)
    for outcome, count in outcomes.items():
        fanout_outbox.queue.count(outcome, count)
    return outcomes


def _retry_later(fan_outs: Sequence[FanOut], error: Exception) -> Counter[Outcome]:
    if _is_outage(error):  # without Redis there are no timelines to deliver to
        logger.warning("%d fan-outs are postponed: %s", len(fan_outs), error)
        fanout_outbox.queue.postpone(fan_outs, error)
        return Counter({Outcome.POSTPONED: len(fan_outs)})
    logger.exception("%s failed", fan_outs[0])
    fanout_outbox.queue.retry_later(fan_outs[0], error)
    return Counter({Outcome.FAILED: 1})


def _is_outage(error: Exception) -> bool:
    if isinstance(error, _OUTAGES):
        return True
    return isinstance(error, redis.ResponseError) and any(word in str(error) for word in _OUTAGE_WORDS)


def _deliver_together(fan_outs: Sequence[FanOut]) -> Counter[Outcome]:
    progress = [Progress(fan_out) for fan_out in fan_outs]
    begun = [fan_out for fan_out in fan_outs if not fan_out.last_follower_id]
    missed = _push_to_authors(begun)
    reached = [fan_out.author_id for fan_out in begun]
    missed |= _push_to_followers(progress, reached)
    pulled = [fan_out.author_id for fan_out in begun if fan_out.mode == DeliveryMode.PULL]
    hints.publish({HintKind.FEEDS: reached, HintKind.AUTHORS: pulled})
    missed_buckets.record(missed)  # before the progress says that they are done
    return _save(progress)


def _push_to_authors(fan_outs: Sequence[FanOut]) -> set[int]:
    """Push to the authors' own timelines once more: the web process may have failed. Return the missed buckets."""
    # The author timeline is written in every celebrity state: during a transition, pushed posts are pulled as well.
    missed = timeline_store.push_to_author_timelines([(fan_out.author_id, fan_out.post_id) for fan_out in fan_outs])
    pushes = [Push(fan_out.post_id, [fan_out.author_id]) for fan_out in fan_outs]
    return missed | timeline_store.push_to_home_timelines(pushes)[1]


def _push_to_followers(progress: Sequence[Progress], reached: list[int]) -> set[int]:
    """Push page after page of each audience until all audiences or the round end. Return the missed buckets.

    Add the ids of the followers to `reached`.
    """
    missed = set[int]()
    round_end = time.monotonic() + ROUND_SECONDS
    size = batch_size()
    has_time = True
    while has_time and (unfinished := [one for one in progress if not one.is_finished]):
        limit = max(min(size, settings.FAN_OUT_BATCH_SIZE), READ_AHEAD_BATCHES * size // len(unfinished))
        pages = fetch_follower_pages([(one.fan_out.author_id, one.last_follower_id) for one in unfinished], limit)
        has_time = _push_pages(_batches(zip(unfinished, pages, strict=True), size), round_end, missed)
        for one, follower_ids in zip(unfinished, pages, strict=True):
            # A user who follows from now on gets a rebuilt home timeline that has the post.
            is_pushed = not follower_ids or one.last_follower_id == follower_ids[-1]
            reached += follower_ids  # all of the page, although the round may have ended within it
            one.is_finished = is_pushed and len(follower_ids) < limit
    return missed


def _push_pages(batches: Iterable[Batch], round_end: float, missed: set[int]) -> bool:
    """Push the batches, and add the missed buckets. Return False if the round ended before the last one."""
    for batch in batches:
        if not _wait_for_rate_limiter(sum(len(ids) for _, ids in batch), round_end):
            return False
        missed |= _push_batch(batch)
        if time.monotonic() > round_end:
            return False
    return True


def _push_batch(batch: Batch) -> set[int]:
    counts, missed = timeline_store.push_to_home_timelines([Push(one.fan_out.post_id, ids) for one, ids in batch])
    DELIVERIES.inc(sum(counts))
    for (one, follower_ids), pushed in zip(batch, counts, strict=True):
        one.deliveries += pushed
        one.last_follower_id = follower_ids[-1]
    return missed


def batch_size() -> int:
    """Return the number of followers to whom posts are pushed in one round trip."""
    size: int = settings.FAN_OUT_BATCH_SIZE
    if len(keys.all_buckets()) > 1:
        size *= CLUSTER_BATCHES
    if settings.FAN_OUT_RATE_LIMIT:
        size = min(size, settings.FAN_OUT_RATE_LIMIT)  # a larger batch would wait longer than a round, every time
    return size


def _batches(pages: Iterable[tuple[Progress, list[int]]], size: int) -> Iterator[Batch]:
    """Cut the pages into batches of `size` followers. A batch is one Redis call; small audiences share it."""
    batch: Batch = []
    free = size
    for one, follower_ids in pages:
        start = 0
        while start < len(follower_ids):
            part = follower_ids[start : start + free]
            batch.append((one, part))
            start += len(part)
            free -= len(part)
            if not free:
                yield batch
                batch, free = [], size
    if batch:
        yield batch


def _wait_for_rate_limiter(deliveries: int, round_end: float) -> bool:
    """Wait until the rate limiter grants the deliveries. Return False if that takes longer than `RATE_LIMIT_WAIT`."""
    while (wait := rate_limiter.acquire(deliveries)) > 0:
        if time.monotonic() + wait > round_end + RATE_LIMIT_WAIT:
            return False
        time.sleep(wait)
    return True


def _save(progress: Sequence[Progress]) -> Counter[Outcome]:
    """Finish what is delivered and save the checkpoints of the rest. Return the outcomes."""
    finished = [one for one in progress if one.is_finished]
    unfinished = [one for one in progress if not one.is_finished]
    done, saved = fanout_outbox.mark_done(finished), fanout_outbox.checkpoint(unfinished)
    _observe_delay([one.fan_out for one in finished])
    counts = {Outcome.FINISHED: done, Outcome.CONTINUED: saved, Outcome.OVERTAKEN: len(progress) - done - saved}
    return Counter({outcome: count for outcome, count in counts.items() if count})


def _observe_delay(fan_outs: Iterable[FanOut]) -> None:
    """Record how long the posts took to their last followers."""
    now = timezone.now()
    for fan_out in fan_outs:
        if not fan_out.post.media_pending:
            seconds = (now - fan_out.created_at).total_seconds()
            POST_VISIBLE_SECONDS.labels(DeliveryMode(fan_out.mode).name.lower()).observe(max(0.0, seconds))
