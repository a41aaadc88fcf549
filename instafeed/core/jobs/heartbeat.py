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

from celery import bootsteps
from celery.signals import worker_ready
from kombu.exceptions import OperationalError
from redis import Redis

from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.cluster_client import ClusterClient
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
        self._timer_entry = worker.timer.call_repeatedly(HEARTBEAT_INTERVAL, _on_timer, (worker,), priority=10)

    def stop(self, worker: Any) -> None:
        if self._timer_entry is not None:
            self._timer_entry.cancel()
            self._timer_entry = None


@worker_ready.connect
def _on_ready(sender: Any, **_: Any) -> None:
    """Renew the keys when the worker consumes, not before: one that dies at its start must not look alive."""
    renew_worker_keys(sender.app)


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
    with suppress(CacheUnavailable):  # it has been logged
        commands.run([("SET", keys.worker(queue), 1, "EX", keys.WORKER_TTL) for queue in queues])


def queues_with_workers(client: Redis | ClusterClient) -> dict[str, bool]:
    """Return for each of QUEUES whether it has a worker. Raises redis.RedisError."""
    (values,) = commands.run_on(client, [("MGET", *map(keys.worker, QUEUES))])
    return {queue: value is not None for queue, value in zip(QUEUES, values, strict=True)}


def record_sweep() -> None:
    """Record that one of beat's tasks runs now."""
    with suppress(CacheUnavailable):
        commands.run([("SET", keys.LAST_SWEEP, 1, "EX", keys.LAST_SWEEP_TTL)])


def seconds_since_sweep(client: Redis | ClusterClient) -> float | None:
    """Return the last sweep's age by Redis' clock; None if it is older than LAST_SWEEP_TTL.

    Raises redis.RedisError.
    """
    (remaining_ms,) = commands.run_on(client, [("PTTL", keys.LAST_SWEEP)])  # negative if the key does not exist
    return None if remaining_ms < 0 else max(0.0, keys.LAST_SWEEP_TTL - remaining_ms / 1000)
