"""Celery's entry points; thin. Each may run twice, late or never: the outbox knows what is left."""

from __future__ import annotations

from celery import shared_task

from instafeed import dispatch
from social.notifications import drain, erasure
from social.roll_up import roll_up

SLICES = 100  # of forgetting, at once


@shared_task
def roll_up_counts() -> None:
    """Add new and ended follows to the counts of users, and look who crossed the celebrity line by that."""
    roll_up()


@shared_task
def drain_notifications() -> None:
    """A slice of making entries of events; what is left goes behind the other tasks of the queue."""
    if drain.drain_slice():
        dispatch.nudge(drain_notifications)


@shared_task
def forget_notifications_taken_back() -> None:
    """Drop what was kept only as a memory of likes and follows taken back."""
    for _ in range(SLICES):
        if erasure.forget_what_was_taken_back():
            return
