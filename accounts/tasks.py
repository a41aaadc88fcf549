"""Maintenance of accounts; both tasks are safe to run twice."""

from celery import shared_task

from accounts import services, sessions


@shared_task
def flush_expired_tokens() -> None:
    """Delete sessions of which no token can be valid any more."""
    sessions.flush()


@shared_task
def lift_suspensions() -> None:
    """Reinstate whose suspension was meant to end by now."""
    services.lift_due_suspensions()
