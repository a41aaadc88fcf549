"""Celery tasks of exports. All are safe to run twice."""

from celery import shared_task

from instafeed.exports import requests, worker


@shared_task
def build_exports() -> None:
    """Do a part of an export, for about a second."""
    worker.process_next()


@shared_task
def delete_expired_exports() -> None:
    """Delete exports whose time is over, with their files."""
    requests.delete_expired()
