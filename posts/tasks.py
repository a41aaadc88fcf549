"""Celery tasks. Each may run twice, late or never: the database says what remains to be done."""

from __future__ import annotations

import time

from celery import shared_task

from posts import explore, purge, push_messages

PURGE_TIME_BUDGET = 1.0  # seconds; a task stops then, so that other tasks get the worker


@shared_task
def purge_posts() -> None:
    """Purge deleted posts for up to PURGE_TIME_BUDGET seconds. The sweep requests the task again."""
    purge.purge_task.begin_look()
    deadline = time.monotonic() + PURGE_TIME_BUDGET
    while time.monotonic() < deadline and purge.purge_batch():
        pass


@shared_task
def rank_explore() -> None:
    """Compute a new explore ranking, unless another task or a reader is computing one."""
    explore.compute_ranking()


# Both limits end before the lease of the messages (social.push.outbox), in seconds.
@shared_task(soft_time_limit=20, time_limit=25)
def send_pushes() -> None:
    """Send the push messages that are due longest, and request this task again while others are due."""
    push_messages.send_due()
