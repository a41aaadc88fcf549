"""The project's Celery application plus a slow task: `celery -A tests.system.core.slow_tasks worker`."""

from __future__ import annotations

import os
import time

import redis

from instafeed.celery import app

__all__ = ["app", "slow_task"]

QUEUE = "slow"


@app.task
def slow_task(seconds: float) -> None:
    """Sleep, and count the start and the end in the broker's database."""
    with redis.Redis.from_url(os.environ["CELERY_BROKER_URL"]) as broker:
        broker.incr("slow:started")
        time.sleep(seconds)
        broker.incr("slow:finished")
