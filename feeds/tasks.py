"""Celery's entry points; thin. Each may run twice, late or never: the ledger knows what is left."""

from __future__ import annotations

from celery import shared_task

from feeds import celebrity_transitions, fanout, fanout_outbox
from instafeed.core.jobs import enqueue

SWEEP_BATCH_SIZE = 500  # fan-outs


@shared_task
def deliver_post(post_id: int) -> None:
    """One slice of a post's fan-out; what is left goes behind the other posts in the queue."""
    if fanout.deliver_slice(post_id):
        enqueue.try_enqueue(deliver_post, post_id)


@shared_task
def sweep_fan_outs() -> int:
    """Hand out again whatever is overdue: lost nudges, dead workers, failures."""
    overdue = fanout_outbox.claim_overdue(SWEEP_BATCH_SIZE)
    for post_id in overdue:
        enqueue.try_enqueue(deliver_post, post_id)
    return len(overdue)


@shared_task
def reconcile_celebrity_status(author_id: int) -> None:
    """Move an author to the side of the celebrity line where it belongs."""
    celebrity_transitions.reconcile_author(author_id)


@shared_task
def resume_celebrity_transitions() -> None:
    """Finish moves whose worker died half way, or whose nudge got lost after a moderator's word had begun them."""
    celebrity_transitions.resume_transitions()
