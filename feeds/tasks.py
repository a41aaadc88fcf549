"""The Celery tasks of feeds. Each may run twice, late or never: the outbox rows say what is left to do."""

from __future__ import annotations

from celery import shared_task

from feeds import celebrity_transitions, fanout_drain, missed_buckets


@shared_task
def deliver_posts() -> None:
    """Deliver posts to followers, for about a second."""
    fanout_drain.drain()


@shared_task
def reconcile_celebrity_status(author_id: int) -> None:
    """Promote or demote an author whose follower count or pin asks for it."""
    celebrity_transitions.reconcile_author(author_id)


@shared_task
def resume_celebrity_transitions() -> None:
    """Finish transitions whose worker died or whose task was lost."""
    celebrity_transitions.resume_transitions()


@shared_task
def evict_missed_buckets() -> None:
    """Delete the timelines of buckets that missed deliveries."""
    missed_buckets.evict_all()
