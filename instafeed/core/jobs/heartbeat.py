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

from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, guarded_client
from instafeed.core.jobs.queues import QUEUES

HEARTBEAT_INTERVAL = 2.0  # seconds
SWEEP_TIMEOUT = 10.0  # seconds without a sweep after which beat counts as dead


class Heartbeat(bootsteps.StartStopStep):
    """Renews `worker:{queue}` for each consumed queue; a Redis that is away is no worker's problem."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._entry: Any = None

    def start(self, worker: Any) -> None:
        renew_worker_keys(worker.app)
        self._entry = worker.timer.call_repeatedly(HEARTBEAT_INTERVAL, _on_timer, (worker,), priority=10)

    def stop(self, worker: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None


def _on_timer(worker: Any) -> None:
    renew_worker_keys(worker.app)
    send_worker_event(worker)


def send_worker_event(worker: Any) -> None:
    """The heartbeat by which Flower knows an idle worker from a dead one, of workers that send events (`-E`).

    In place of Celery's own, which is off: it retries for ever, and so keeps a worker whose broker is gone from ending.
    """
    from celery.worker import state  # not in web processes, which import this module for `queues_with_workers`

    events = getattr(worker.consumer, "event_dispatcher", None)
    if events is not None and events.enabled:
        with suppress(OSError, OperationalError):
            events.send("worker-heartbeat", freq=HEARTBEAT_INTERVAL, active=len(state.active_requests), retry=False)


def renew_worker_keys(app: Any) -> None:
    queues = list(app.amqp.queues.consume_from)
    # guarded() logs what goes wrong
    with suppress(CacheUnavailable), guarded_client() as client, client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.set(keys.worker(queue), 1, ex=keys.WORKER_TTL)
        pipeline.execute()


def queues_with_workers(client: redis.Redis) -> dict[str, bool]:
    """Whether each of QUEUES has a worker. Raises redis.RedisError."""
    signs = client.mget([keys.worker(queue) for queue in QUEUES])
    return {queue: sign is not None for queue, sign in zip(QUEUES, signs, strict=True)}


def record_sweep() -> None:
    """One of beat's tasks runs."""
    with suppress(CacheUnavailable), guarded_client() as client:
        client.set(keys.LAST_SWEEP, 1, ex=keys.LAST_SWEEP_TTL)


def seconds_since_sweep(client: redis.Redis) -> float | None:
    """By Redis' clock alone; None: not within SWEPT_TTL. Raises redis.RedisError."""
    left: int = client.pttl(keys.LAST_SWEEP)  # milliseconds, negative without the key
    return None if left < 0 else max(0.0, keys.LAST_SWEEP_TTL - left / 1000)
