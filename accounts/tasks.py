"""Maintenance of accounts; all tasks are safe to run twice."""

from celery import shared_task

from accounts import erasure_worker, services, sessions
from instafeed.core.jobs import enqueue


@shared_task
def flush_expired_tokens() -> None:
    """Delete sessions of which no token can be valid any more."""
    sessions.delete_expired()


@shared_task
def lift_suspensions() -> None:
    """Reinstate whose suspension was meant to end by now."""
    services.lift_due_suspensions()


@shared_task
def erase_accounts() -> None:
    """One slice of erasing what was deleted; what is left goes behind the other tasks in the queue."""
    if erasure_worker.process_next():
        enqueue.try_enqueue(erase_accounts)
