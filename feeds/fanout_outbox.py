"""The transactional outbox of fan-outs: one `FanOut` row for each post, from enqueued to done.

A row moves from pending to running and then to done. It returns to pending at the end of a slice and after a
failure, and becomes a dead letter after `MAX_ATTEMPTS` failures in a row.

Every change is a compare-and-set. `due_at` of a running row is the lease of its worker and also the token of its
claim: a worker that finds another value there has lost its claim and must not write.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from feeds.models import DeliveryMode, FanOut, State

logger = logging.getLogger(__name__)

INITIAL_RETRY_DELAY = timedelta(seconds=5)  # a row that is still pending then has lost its task
CLAIM_TTL = timedelta(seconds=15)  # many times the length of a slice: only a dead worker's claim expires
MAX_ATTEMPTS = 10
MAX_RETRY_DELAY = timedelta(minutes=5)
MAX_ERROR_LENGTH = 1_000  # characters
MAX_DISPATCHES = 1_000


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of one worker to deliver a slice of a post until `expires_at`."""

    post_id: int
    author_id: int
    mode: DeliveryMode
    last_follower_id: int
    expires_at: datetime
    visible_since: datetime | None  # when the post was created; None while its media are still processed


def enqueue(post_id: int, author_id: int, mode: DeliveryMode) -> None:
    """Write the row of a new post. Call it in the transaction that creates the post."""
    FanOut.objects.create(post_id=post_id, author_id=author_id, mode=mode, due_at=timezone.now() + INITIAL_RETRY_DELAY)


def claim(post_id: int) -> Claim | None:
    """Claim a post's next slice. Return None if it is done, deleted, dead, or claimed by a live worker."""
    now = timezone.now()
    expires_at = now + CLAIM_TTL
    lease_expired = Q(state=State.RUNNING, due_at__lt=now)
    claimable = (
        FanOut.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(Q(state=State.PENDING) | lease_expired, pk=post_id)
        .annotate(media_pending=F("post__media_pending"))
        .only("author_id", "mode", "state", "attempts", "last_follower_id", "created_at")
    )
    with transaction.atomic():
        fan_out = claimable.first()
        if fan_out is None:
            return None
        if fan_out.state == State.RUNNING:  # its worker died
            fan_out.attempts += 1
        if fan_out.attempts > MAX_ATTEMPTS:
            _dead_letter(fan_out, "its workers died")
            return None
        FanOut.objects.filter(pk=post_id).update(state=State.RUNNING, due_at=expires_at, attempts=fan_out.attempts)
    visible_since = None if fan_out.media_pending else fan_out.created_at
    mode = DeliveryMode(fan_out.mode)
    return Claim(post_id, fan_out.author_id, mode, fan_out.last_follower_id, expires_at, visible_since)


def checkpoint(claim: Claim, last_follower_id: int, deliveries: int) -> bool:
    """End a slice of an unfinished fan-out and save its progress. Return False if the claim was lost."""
    return bool(
        _claimed_row(claim).update(
            state=State.PENDING,
            last_follower_id=last_follower_id,
            deliveries=F("deliveries") + deliveries,
            due_at=timezone.now() + INITIAL_RETRY_DELAY,
            attempts=0,  # only failures in a row count
            dispatches=0,
        )
    )


def mark_done(claim: Claim, deliveries: int) -> bool:
    """Finish the fan-out. Return False if the claim was lost.

    Clear the checkpoint too: it is a follower's id, and a finished row must not keep personal data.
    """
    return bool(
        _claimed_row(claim).update(
            state=State.DONE,
            last_follower_id=0,
            deliveries=F("deliveries") + deliveries,
            finished_at=timezone.now(),
            error="",
        )
    )


def retry_later(claim: Claim, error: Exception, *, counts_as_attempt: bool) -> None:
    """Release a failed slice with a backoff. Do nothing if the claim was lost.

    A failure that the post did not cause, such as a Redis outage, does not count as an attempt.
    """
    with transaction.atomic():
        fan_out = _claimed_row(claim).select_for_update().first()
        if fan_out is None:
            return
        fan_out.attempts += counts_as_attempt
        if fan_out.attempts > MAX_ATTEMPTS:
            _dead_letter(fan_out, repr(error))
            return
        fan_out.state = State.PENDING
        fan_out.error = repr(error)[:MAX_ERROR_LENGTH]
        fan_out.due_at = timezone.now() + _backoff(fan_out.attempts)
        fan_out.save(update_fields=["state", "error", "due_at", "attempts"])


def claim_overdue(limit: int) -> list[int]:
    """Return the post ids of up to `limit` overdue fan-outs, the most overdue first, and postpone them.

    The delay until a row is overdue again doubles with every dispatch. Behind a long queue no task is lost, and
    repeating its tasks every few seconds would only make the queue longer.
    """
    now = timezone.now()
    overdue = FanOut.objects.filter(state__in=[State.PENDING, State.RUNNING], due_at__lt=now).order_by("due_at")
    with transaction.atomic():
        fan_outs = list(overdue.select_for_update(skip_locked=True).only("state", "due_at", "dispatches")[:limit])
        for fan_out in fan_outs:
            # A running row keeps its expired lease: from it the next claim concludes that a worker died.
            if fan_out.state == State.PENDING:
                fan_out.due_at = now + _backoff(fan_out.dispatches)
            fan_out.dispatches = min(fan_out.dispatches + 1, MAX_DISPATCHES)
        FanOut.objects.bulk_update(fan_outs, ["due_at", "dispatches"])
    return [fan_out.pk for fan_out in fan_outs]


def unclaimed() -> QuerySet[FanOut]:
    """Return all unfinished fan-outs that no live worker holds, due or not."""
    lease_expired = Q(state=State.RUNNING, due_at__lt=timezone.now())
    return FanOut.objects.filter(Q(state=State.PENDING) | lease_expired)


def requeue_dead_letters(post_ids: Iterable[int] | None = None) -> int:
    """Make dead letters pending again, those of `post_ids` or all. Return how many there were."""
    dead_letters = FanOut.objects.filter(state=State.DEAD)
    if post_ids is not None:
        dead_letters = dead_letters.filter(pk__in=post_ids)
    return dead_letters.update(state=State.PENDING, attempts=0, dispatches=0, error="", due_at=timezone.now())


def _claimed_row(claim: Claim) -> QuerySet[FanOut]:
    return FanOut.objects.filter(pk=claim.post_id, state=State.RUNNING, due_at=claim.expires_at)


def _dead_letter(fan_out: FanOut, reason: str) -> None:
    logger.error("fan-out of post %s is a dead letter: %s", fan_out.pk, reason)
    fan_out.state = State.DEAD
    fan_out.error = reason[:MAX_ERROR_LENGTH]
    fan_out.save(update_fields=["state", "error", "attempts"])


def _backoff(failures: int) -> timedelta:
    """Return 5 s, doubled with every failure, at most `MAX_RETRY_DELAY`."""
    return min(INITIAL_RETRY_DELAY * 2 ** min(failures, 16), MAX_RETRY_DELAY)
