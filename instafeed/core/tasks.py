"""Maintenance tasks that belong to no app."""

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from instafeed.core.cache import commands, invalidation
from instafeed.core.jobs import heartbeat


@shared_task
def sweep_invalidations() -> None:
    """Delete the cache keys that a dead process or a Redis outage left behind. Also beat's sign of life."""
    heartbeat.record_sweep()
    invalidation.sweep()


@shared_task
def purge_cache() -> None:
    """Delete what servers of a Redis Cluster hold of their predecessors."""
    commands.purge()


@shared_task
def flush_expired_sessions() -> None:
    """Delete expired admin sessions."""
    SessionStore.clear_expired()
