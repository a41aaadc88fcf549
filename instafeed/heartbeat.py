"""A sign of life from each Celery worker: one short-lived key per queue that it consumes.

A step of the worker's own timer, not a task sent by beat: a task would wait behind a backlog, and would miss
nothing if the worker of another queue took it. The timer runs in the main process, between the broker's
messages; a worker that is stopped, dead, or cannot reach the broker stops renewing its keys, which then
expire within WORKER_TTL seconds.
"""

from __future__ import annotations

from typing import Any

import redis
from celery import bootsteps

from instafeed import keys
from instafeed.queues import QUEUES
from instafeed.redis import CacheUnavailable, guarded

EVERY = 2.0  # seconds


class Heartbeat(bootsteps.StartStopStep):
    """Renews `worker:{queue}` for each consumed queue; a Redis that is away is no worker's problem."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._entry: Any = None

    def start(self, worker: Any) -> None:
        beat(worker.app)
        self._entry = worker.timer.call_repeatedly(EVERY, beat, (worker.app,), priority=10)

    def stop(self, worker: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None


def beat(app: Any) -> None:
    queues = list(app.amqp.queues.consume_from)
    try:
        with guarded() as client, client.pipeline(transaction=False) as pipeline:
            for queue in queues:
                pipeline.set(keys.worker(queue), 1, ex=keys.WORKER_TTL)
            pipeline.execute()
    except (CacheUnavailable, redis.RedisError):
        pass  # guarded() has logged it


def alive(client: redis.Redis) -> dict[str, bool]:
    """Whether each of QUEUES has a worker. Raises redis.RedisError."""
    signs = client.mget([keys.worker(queue) for queue in QUEUES])
    return {queue: sign is not None for queue, sign in zip(QUEUES, signs, strict=True)}
