"""The Celery tasks of feeds. Each may run twice, late or never: the outbox rows say what is left to do."""

from __future__ import annotations

from celery import shared_task

from feeds import celebrity_transitions, fanout, fanout_sweeper
from instafeed.core.jobs.enqueue import try_enqueue
from instafeed.core.jobs.leased import Outcome


@shared_task
def deliver_post(post_id: int) -> None:
    """Deliver a slice of a post's fan-out; enqueue the next slice behind the other posts in the queue."""
    if fanout.deliver_slice(post_id) is Outcome.CONTINUED:
        try_enqueue(deliver_post, post_id)


@shared_task
def sweep_fan_outs() -> int:
    """Dispatch overdue fan-outs again: lost tasks, dead workers, failures. Return their number."""
    return fanout_sweeper.dispatch_overdue(deliver_post)


@shared_task
def reconcile_celebrity_status(author_id: int) -> None:
    """Promote or demote an author whose follower count or pin asks for it."""
    celebrity_transitions.reconcile_author(author_id)


@shared_task
def resume_celebrity_transitions() -> None:
    """Finish transitions whose worker died or whose task was lost."""
    celebrity_transitions.resume_transitions()
