"""The project's Celery application with a task that takes its time: `celery -A tests.flows.slow_tasks worker`."""

from __future__ import annotations

import os
import time

import redis

from instafeed.celery import app

__all__ = ["app", "slow_task"]

QUEUE = "slow"


@app.task
def slow_task(seconds: float) -> None:
    """Leaves a word in the broker's database when it begins and when it has ended."""
    with redis.Redis.from_url(os.environ["CELERY_BROKER_URL"]) as broker:
        broker.incr("slow:began")
        time.sleep(seconds)
        broker.incr("slow:ended")
