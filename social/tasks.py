"""Celery tasks of the social graph. Each may run twice, late or not at all: the pending work is in the database."""

from __future__ import annotations

from celery import shared_task

from instafeed.core.jobs import enqueue
from social import request_acceptance
from social.counter_rollup import roll_up
from social.notifications import consumer, deletion

MAX_SLICES = 100  # deletion slices of one task


@shared_task
def roll_up_counts() -> None:
    """Add new and ended follows to the users' counts. Users who cross the celebrity threshold are reconsidered."""
    roll_up()


@shared_task
def drain_notifications() -> None:
    """Consume the notification outbox for about a second. If events are left, queue again behind other tasks."""
    if consumer.consume_batches():
        enqueue.try_enqueue(drain_notifications)


@shared_task
def delete_retracted_notifications() -> None:
    """Delete likes and follows that were retracted longer than the cooldown ago."""
    for _ in range(MAX_SLICES):
        if deletion.delete_retracted():
            return


@shared_task
def accept_follow_requests() -> None:
    """Accept follow requests to an account that became public, for about a second."""
    request_acceptance.accept_next()
