"""Maintenance that belongs to no app."""

from celery import shared_task

from instafeed import invalidation


@shared_task
def sweep_invalidations() -> None:
    """Drop the cache keys that a dead process or an absent Redis left behind."""
    invalidation.sweep()
