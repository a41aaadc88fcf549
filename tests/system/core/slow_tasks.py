"""The project's Celery application plus a slow task: `celery -A tests.system.core.slow_tasks worker`."""

from __future__ import annotations

import os

import redis

from instafeed.celery import app
from instafeed.core.jobs import bounded_shutdown

__all__ = ["app", "slow_task"]

QUEUE = "slow"
RELEASE = "slow:release"  # a list; each item ends a task

# A busy machine may stop a worker for seconds, and it is to end by itself.
bounded_shutdown.FORCED_EXIT_DELAY = 90.0
if seconds := os.environ.get("SOFT_SHUTDOWN_TIMEOUT"):
    app.conf.worker_soft_shutdown_timeout = float(seconds)


@app.task
def slow_task() -> None:
    """Run until a test releases it. Count the start and the end in the broker's database."""
    with redis.Redis.from_url(os.environ["CELERY_BROKER_URL"], socket_timeout=None) as broker:
        broker.incr("slow:started")
        broker.blpop([RELEASE])
        broker.incr("slow:finished")
