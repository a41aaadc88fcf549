"""Celery's entry points; thin. Each may run twice, late or never: the ledger knows what is left."""

from __future__ import annotations

from celery import shared_task

from feeds import celebrities, fanout, ledger
from instafeed import dispatch

SWEEP_BATCH = 500  # fan-outs


@shared_task
def deliver_post(post_id: int) -> None:
    """One slice of a post's fan-out; what is left goes behind the other posts in the queue."""
    if fanout.deliver_slice(post_id):
        dispatch.nudge(deliver_post, post_id)


@shared_task
def sweep_fan_outs() -> int:
    """Hand out again whatever is overdue: lost nudges, dead workers, failures."""
    overdue = ledger.take_overdue(SWEEP_BATCH)
    for post_id in overdue:
        dispatch.nudge(deliver_post, post_id)
    return len(overdue)


@shared_task
def settle_celebrity(author_id: int) -> None:
    """Move an author to the side of the celebrity line where it belongs."""
    celebrities.settle(author_id)


@shared_task
def finish_celebrity_moves() -> None:
    """Finish moves whose worker died half way, or whose nudge got lost after a moderator's word had begun them."""
    celebrities.finish_moves()
