"""Signs of life from Celery: one short-lived key per queue that a worker consumes, and when beat's tasks last ran.

The workers' come from a step of the worker's own timer, not from a task: a task would wait behind a backlog, and
would miss nothing if the worker of another queue took it. The timer runs in the main process, between the broker's
messages; a worker that is stopped, dead, or cannot reach the broker stops renewing its keys, which then expire
within WORKER_TTL seconds.

Beat's comes from a task that it sends every two seconds. Without a worker for that task, or behind a long backlog,
nothing is swept either, which is what there is to know.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import redis
from celery import bootsteps
from kombu.exceptions import OperationalError

from instafeed import keys
from instafeed.queues import QUEUES
from instafeed.redis import CacheUnavailable, guarded

EVERY = 2.0  # seconds
SWEPT_WITHIN = 10.0  # seconds without a sweep after which beat counts as dead


class Heartbeat(bootsteps.StartStopStep):
    """Renews `worker:{queue}` for each consumed queue; a Redis that is away is no worker's problem."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._entry: Any = None

    def start(self, worker: Any) -> None:
        beat(worker.app)
        self._entry = worker.timer.call_repeatedly(EVERY, _all, (worker,), priority=10)

    def stop(self, worker: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None


def _all(worker: Any) -> None:
    beat(worker.app)
    tell_monitors(worker)


def tell_monitors(worker: Any) -> None:
    """The heartbeat by which Flower knows an idle worker from a dead one, of workers that send events (`-E`).

    In place of Celery's own, which is off: it retries for ever, and so keeps a worker whose broker is gone from ending.
    """
    from celery.worker import state  # not in web processes, which import this module for `alive`

    events = getattr(worker.consumer, "event_dispatcher", None)
    if events is not None and events.enabled:
        with suppress(OSError, OperationalError):
            events.send("worker-heartbeat", freq=EVERY, active=len(state.active_requests), retry=False)


def beat(app: Any) -> None:
    queues = list(app.amqp.queues.consume_from)
    # guarded() logs what goes wrong
    with suppress(CacheUnavailable), guarded() as client, client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.set(keys.worker(queue), 1, ex=keys.WORKER_TTL)
        pipeline.execute()


def alive(client: redis.Redis) -> dict[str, bool]:
    """Whether each of QUEUES has a worker. Raises redis.RedisError."""
    signs = client.mget([keys.worker(queue) for queue in QUEUES])
    return {queue: sign is not None for queue, sign in zip(QUEUES, signs, strict=True)}


def note_sweep() -> None:
    """One of beat's tasks runs."""
    with suppress(CacheUnavailable), guarded() as client:
        client.set(keys.SWEPT, 1, ex=keys.SWEPT_TTL)


def seconds_since_sweep(client: redis.Redis) -> float | None:
    """By Redis' clock alone; None: not within SWEPT_TTL. Raises redis.RedisError."""
    left: int = client.pttl(keys.SWEPT)  # milliseconds, negative without the key
    return None if left < 0 else max(0.0, keys.SWEPT_TTL - left / 1000)
