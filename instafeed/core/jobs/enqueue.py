"""Publish a Celery task that may be lost.

The row in PostgreSQL (`feeds.fanout_outbox`, `accounts.erasure_worker`) is the record of the work. So publishing
never fails its caller and never delays it for long: after a failure this process makes no attempt for
`RETRY_COOLDOWN` seconds, and the sweep finds the work that was missed.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Task, current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from instafeed.core.cache.circuit_breaker import CircuitBreaker
from instafeed.core.observability.metrics import BREAKER_TRIPS

logger = logging.getLogger(__name__)

RETRY_COOLDOWN = 5.0  # seconds without an attempt after a failure
breaker = CircuitBreaker(RETRY_COOLDOWN)


def try_enqueue(task: Task | str, *arguments: Any, countdown: float = 0) -> bool:
    """Publish a task, given as itself or by its name, to run in `countdown` seconds.

    Return False if the broker did not accept it within its timeout (under a second, see settings).
    """
    if breaker.is_open:
        return False
    try:
        options: dict[str, Any] = {"ignore_result": True}
        if countdown:
            # As a header, not as `countdown`: with RabbitMQ's quorum queues Celery would send the task through delay
            # queues, which know whole seconds only. So the worker holds the task, as it does with Redis.
            options["headers"] = {"eta": (datetime.now(UTC) + timedelta(seconds=countdown)).isoformat()}
        if isinstance(task, str):
            current_app.send_task(task, arguments, **options)
        else:
            task.apply_async(arguments, **options)
    except (OperationalError, RedisError, OSError) as error:
        breaker.trip()
        BREAKER_TRIPS.labels("broker").inc()
        logger.warning("broker unavailable, %s is left to the sweep: %s", getattr(task, "name", task), error)
        return False
    return True
