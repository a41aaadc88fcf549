"""When a worker begins to look alive. tests/system/core/test_heartbeat.py has a real worker."""

from __future__ import annotations

import pytest
import redis
from celery.signals import worker_ready
from kombu.asynchronous.timer import Timer

from instafeed.celery import app
from instafeed.core.cache import keys
from instafeed.core.jobs import heartbeat
from instafeed.core.jobs.queues import QUEUES


class Worker:
    """What the step uses of Celery's worker. It is also the sender of its signal."""

    def __init__(self) -> None:
        self.app, self.timer = app, Timer()


def test_a_worker_looks_alive_when_it_consumes_and_not_before(
    redis_cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that dies at each start would otherwise renew its key each time."""
    monkeypatch.setattr(keys, "WORKER_TTL", 1_000)  # the timer, which renews it, does not run here
    worker = Worker()
    step = heartbeat.Heartbeat(worker)
    step.start(worker)
    assert not any(heartbeat.queues_with_workers(redis_cache).values())
    worker_ready.send(sender=worker)
    queues = set(app.amqp.queues.consume_from) & set(QUEUES)
    assert queues
    assert {queue for queue, alive in heartbeat.queues_with_workers(redis_cache).items() if alive} == queues
    step.stop(worker)
