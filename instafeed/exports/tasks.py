"""Celery tasks of exports. All are safe to run twice."""

from celery import shared_task

from instafeed.exports import requests, worker
from instafeed.exports.queue import queue


@shared_task
def build_exports() -> None:
    """Do a part of an export, for about a second."""
    worker.process_next()


@shared_task
def sweep_exports() -> None:
    """Continue exports whose task was lost, whose worker died, or whose retry delay is over."""
    queue.sweep()


@shared_task
def delete_expired_exports() -> None:
    """Delete exports whose time is over, with their files."""
    requests.delete_expired()
