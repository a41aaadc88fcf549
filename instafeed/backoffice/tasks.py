"""The back office's Celery task."""

from celery import shared_task

from instafeed.backoffice.dashboard import sampling


@shared_task
def take_sample() -> None:
    """Store the dashboard's sample of this minute."""
    sampling.take_sample()
