"""Celery's entry points; thin. Each may run twice, late or never: what is left to do is in the database."""

from __future__ import annotations

import time

from celery import shared_task

from posts import explore, purge

PURGE_TIME_BUDGET = 1.0  # seconds of work before a task makes room for others


@shared_task
def purge_posts() -> None:
    """Some of what hangs on deleted posts; beat sends the next one."""
    ends = time.monotonic() + PURGE_TIME_BUDGET
    while time.monotonic() < ends and purge.purge_batch():
        pass


@shared_task
def rank_explore() -> None:
    """Rank recent public posts anew; nothing while another task or a reader does."""
    explore.compute_ranking()
