"""Maintenance that belongs to no app."""

from celery import shared_task

from instafeed import heartbeat, invalidation
from instafeed.api import idempotency


@shared_task
def sweep_invalidations() -> None:
    """Drop the cache keys that a dead process or an absent Redis left behind; also beat's sign of life."""
    heartbeat.note_sweep()
    invalidation.sweep()


@shared_task
def flush_idempotent_answers() -> None:
    """Delete answers to requests with an Idempotency-Key that are older than a day."""
    idempotency.flush()
