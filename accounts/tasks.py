"""Periodic maintenance of accounts. All tasks are safe to run twice."""

from celery import shared_task

from accounts import erasure_worker, services, sessions
from instafeed.core.jobs import enqueue


@shared_task
def flush_expired_tokens() -> None:
    """Delete sessions whose tokens have all expired."""
    sessions.delete_expired()


@shared_task
def lift_suspensions() -> None:
    """Reinstate accounts whose suspension has ended."""
    services.lift_due_suspensions()


@shared_task
def erase_accounts() -> None:
    """Erase deleted accounts for about a second, then queue this task again behind the others if work is left."""
    if erasure_worker.process_next():
        enqueue.try_enqueue(erase_accounts)
