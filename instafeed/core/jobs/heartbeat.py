"""Signs of life from Celery: one short-lived key for each queue that a worker consumes, and the last sweep.

Workers renew their keys from a step on the worker's own timer, not from a task: a task would wait behind a backlog,
and a worker of another queue could take it. The timer runs in the main process, between broker messages. A worker
that is stopped, dead or cut off from the broker stops renewing its keys, which expire within WORKER_TTL seconds.

Beat's sign of life comes from a task that it sends every two seconds. Without a worker for that task, or behind a
long backlog, no sweep runs either, and that is the condition to report.
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
    """Renew `worker:{queue}` for each consumed queue. A Redis outage does not disturb the worker."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._timer_entry: Any = None

    def start(self, worker: Any) -> None:
        renew_worker_keys(worker.app)
        self._timer_entry = worker.timer.call_repeatedly(HEARTBEAT_INTERVAL, _on_timer, (worker,), priority=10)

    def stop(self, worker: Any) -> None:
        if self._timer_entry is not None:
            self._timer_entry.cancel()
            self._timer_entry = None


def _on_timer(worker: Any) -> None:
    renew_worker_keys(worker.app)
    send_worker_event(worker)


def send_worker_event(worker: Any) -> None:
    """Send the event that tells Flower an idle worker from a dead one, if the worker sends events (`-E`).

    Replaces Celery's own heartbeat, which is off: it retries for ever and so keeps a worker whose broker is gone
    from ending.
    """
    from celery.worker import state  # not in web processes, which import this module for `queues_with_workers`

    events = getattr(worker.consumer, "event_dispatcher", None)
    if events is not None and events.enabled:
        with suppress(OSError, OperationalError):
            events.send("worker-heartbeat", freq=HEARTBEAT_INTERVAL, active=len(state.active_requests), retry=False)


def renew_worker_keys(app: Any) -> None:
    queues = list(app.amqp.queues.consume_from)
    # guarded_client() logs failures
    with suppress(CacheUnavailable), guarded_client() as client, client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.set(keys.worker(queue), 1, ex=keys.WORKER_TTL)
        pipeline.execute()


def queues_with_workers(client: redis.Redis) -> dict[str, bool]:
    """Return for each of QUEUES whether it has a worker. Raises redis.RedisError."""
    values = client.mget([keys.worker(queue) for queue in QUEUES])
    return {queue: value is not None for queue, value in zip(QUEUES, values, strict=True)}


def record_sweep() -> None:
    """Record that one of beat's tasks runs now."""
    with suppress(CacheUnavailable), guarded_client() as client:
        client.set(keys.LAST_SWEEP, 1, ex=keys.LAST_SWEEP_TTL)


def seconds_since_sweep(client: redis.Redis) -> float | None:
    """Return the last sweep's age by Redis' clock; None if it is older than LAST_SWEEP_TTL.

    Raises redis.RedisError.
    """
    remaining_ms: int = client.pttl(keys.LAST_SWEEP)  # negative if the key does not exist
    return None if remaining_ms < 0 else max(0.0, keys.LAST_SWEEP_TTL - remaining_ms / 1000)
