"""Celery's entry points; thin. Each may run twice, late or never: the outbox knows what is left."""

from __future__ import annotations

from celery import shared_task

from instafeed.core.jobs import enqueue
from social.counter_rollup import roll_up
from social.notifications import consumer, deletion

MAX_SLICES = 100  # of forgetting, at once


@shared_task
def roll_up_counts() -> None:
    """Add new and ended follows to the counts of users, and look who crossed the celebrity line by that."""
    roll_up()


@shared_task
def drain_notifications() -> None:
    """A slice of making entries of events; what is left goes behind the other tasks of the queue."""
    if consumer.consume_batches():
        enqueue.try_enqueue(drain_notifications)


@shared_task
def delete_retracted_notifications() -> None:
    """Drop what was kept only as a memory of likes and follows taken back."""
    for _ in range(MAX_SLICES):
        if deletion.delete_retracted():
            return
