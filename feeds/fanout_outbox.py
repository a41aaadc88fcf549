"""The states of a fan-out: opening, claiming, checkpointing, closing; every step one compare-and-set.

pending → running → done, or back to pending at the end of a slice or after a failure, or dead after
`MAX_ATTEMPTS` failures. `due_at` of a running row is the lease of its worker and at the same time the token
of its claim: whoever finds another value there has been taken for dead and must not write.
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

INITIAL_RETRY_DELAY = timedelta(seconds=5)  # a row that nobody claimed by then missed its nudge
CLAIM_TTL = timedelta(seconds=15)  # much longer than a slice, so that a claim outlives only its worker
MAX_ATTEMPTS = 10
MAX_RETRY_DELAY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to deliver one slice of one post, until `until`."""

    post_id: int
    author_id: int
    mode: DeliveryMode
    last_follower_id: int
    until: datetime
    visible_since: datetime | None  # when the post was made; None: it waits for its pictures


def enqueue(post_id: int, author_id: int, mode: DeliveryMode) -> None:
    """Write the row; belongs into the post's transaction."""
    FanOut.objects.create(post_id=post_id, author_id=author_id, mode=mode, due_at=timezone.now() + INITIAL_RETRY_DELAY)


def claim(post_id: int) -> Claim | None:
    """Take the next slice; None when it is finished, gone, or in the hands of a living worker."""
    now = timezone.now()
    until = now + CLAIM_TTL
    expired = Q(state=State.RUNNING, due_at__lt=now)
    row = (
        FanOut.objects.select_for_update(of=("self",), skip_locked=True)
        .filter(Q(state=State.PENDING) | expired, pk=post_id)
        .annotate(waits=F("post__waiting"))
        .only("author_id", "mode", "state", "attempts", "last_follower_id", "created_at")
    )
    with transaction.atomic():
        fan_out = row.first()
        if fan_out is None:
            return None
        if fan_out.state == State.RUNNING:  # its worker died
            fan_out.attempts += 1
        if fan_out.attempts > MAX_ATTEMPTS:
            _dead_letter(fan_out, "its workers died")
            return None
        FanOut.objects.filter(pk=post_id).update(state=State.RUNNING, due_at=until, attempts=fan_out.attempts)
    since = None if fan_out.waits else fan_out.created_at
    return Claim(post_id, fan_out.author_id, DeliveryMode(fan_out.mode), fan_out.last_follower_id, until, since)


def _claimed_row(claim: Claim) -> QuerySet[FanOut]:
    return FanOut.objects.filter(pk=claim.post_id, state=State.RUNNING, due_at=claim.until)


def checkpoint(claim: Claim, last_follower_id: int, deliveries: int) -> bool:
    """End a slice that has more to do; False when the claim was lost."""
    return bool(
        _claimed_row(claim).update(
            state=State.PENDING,
            last_follower_id=last_follower_id,
            deliveries=F("deliveries") + deliveries,
            due_at=timezone.now() + INITIAL_RETRY_DELAY,
            attempts=0,  # it counts what fails in a row
            dispatches=0,
        )
    )


def mark_done(claim: Claim, deliveries: int) -> bool:
    """End the fan-out; False when the claim was lost. Its checkpoint goes: it is some follower's id."""
    return bool(
        _claimed_row(claim).update(
            state=State.DONE,
            last_follower_id=0,
            deliveries=F("deliveries") + deliveries,
            finished_at=timezone.now(),
            error="",
        )
    )


def retry_later(claim: Claim, error: Exception, *, counts: bool) -> None:
    """Give a failed slice back for later; `counts` is False for what is not the post's fault, as an absent Redis."""
    with transaction.atomic():
        fan_out = _claimed_row(claim).select_for_update().first()
        if fan_out is None:
            return
        fan_out.attempts += counts
        if fan_out.attempts > MAX_ATTEMPTS:
            _dead_letter(fan_out, repr(error))
            return
        fan_out.state = State.PENDING
        fan_out.error = repr(error)[:1000]
        fan_out.due_at = timezone.now() + _backoff(fan_out.attempts)
        fan_out.save(update_fields=["state", "error", "due_at", "attempts"])


def _dead_letter(fan_out: FanOut, why: str) -> None:
    logger.error("fan-out of post %s is a dead letter: %s", fan_out.pk, why)
    fan_out.state = State.DEAD
    fan_out.error = why[:1000]
    fan_out.save(update_fields=["state", "error", "attempts"])


def _backoff(times: int) -> timedelta:
    """5 s, doubling, at most `MAX_RETRY_DELAY`."""
    return min(INITIAL_RETRY_DELAY * 2 ** min(times, 16), MAX_RETRY_DELAY)


def claim_overdue(limit: int) -> list[int]:
    """Posts whose fan-out is overdue, oldest first; they are not handed out again before a growing pause.

    The pause doubles with every hand-out: behind a long queue nothing is lost, and repeating its tasks every few
    seconds would only make it longer.
    """
    now = timezone.now()
    overdue = FanOut.objects.filter(state__in=[State.PENDING, State.RUNNING], due_at__lt=now).order_by("due_at")
    with transaction.atomic():
        rows = list(overdue.select_for_update(skip_locked=True).only("state", "due_at", "dispatches")[:limit])
        for fan_out in rows:
            # A running row keeps its expired lease, by which the next claim knows that a worker died.
            if fan_out.state == State.PENDING:
                fan_out.due_at = now + _backoff(fan_out.dispatches)
            fan_out.dispatches = min(fan_out.dispatches + 1, 1000)
        FanOut.objects.bulk_update(rows, ["due_at", "dispatches"])
    return [fan_out.pk for fan_out in rows]


def unclaimed() -> QuerySet[FanOut]:
    """Everything unfinished that no living worker holds, due or not."""
    abandoned = Q(state=State.RUNNING, due_at__lt=timezone.now())
    return FanOut.objects.filter(Q(state=State.PENDING) | abandoned)


def requeue_dead_letters(post_ids: Iterable[int] | None = None) -> int:
    """Give dead letters a new life, all or those named; returns how many."""
    dead = FanOut.objects.filter(state=State.DEAD)
    if post_ids is not None:
        dead = dead.filter(pk__in=post_ids)
    return dead.update(state=State.PENDING, attempts=0, dispatches=0, error="", due_at=timezone.now())
