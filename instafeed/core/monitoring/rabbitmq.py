"""The probe of a RabbitMQ broker. It uses AMQP only, so it needs neither a plugin nor another password."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import amqp
from django.conf import settings
from kombu import Connection

from instafeed.core.jobs.queues import QUEUES
from instafeed.core.monitoring.probes import Report

TIMEOUT = 1  # second for each answer
BLOCKED_TIMEOUT = 0.05  # seconds; RabbitMQ announces a block within a few milliseconds
_NOWHERE = "instafeed.probe"  # no queue has this name, so RabbitMQ drops the message


def probe() -> Report:
    """Return the number of waiting tasks in each queue, and whether RabbitMQ accepts messages.

    It accepts none, and is "full", while its memory or its disk is short of space. Its own metrics tell how much of
    both it uses, and how many tasks workers hold: AMQP does not. Raises OSError or amqp.AMQPError.
    """
    blocked: list[str] = []
    connection = _connect(on_blocked=blocked.append)
    try:
        depths = {queue: _count_ready(connection, queue) for queue in QUEUES}
        connection.channel().basic_publish(amqp.Message(""), routing_key=_NOWHERE)
        with suppress(TimeoutError):
            while not blocked:
                connection.drain_events(timeout=BLOCKED_TIMEOUT)
        if not blocked:
            connection.close()
    finally:
        connection.collect()  # RabbitMQ does not answer to the end of a connection that it has blocked
    return {"status": "full" if blocked else "ok", "queues": depths}


def _connect(**options: Any) -> amqp.Connection:
    """Open a connection to the first node that answers."""
    broker = Connection(
        settings.CELERY_BROKER_URL,
        ssl=settings.CELERY_BROKER_USE_SSL,
        connect_timeout=TIMEOUT,
        transport_options={"read_timeout": TIMEOUT, "write_timeout": TIMEOUT, **options},
    )
    nodes = max(1, len(broker.alt))
    broker.ensure_connection(max_retries=nodes - 1, interval_start=0, interval_step=0, timeout=TIMEOUT)
    return broker.connection


def _count_ready(connection: amqp.Connection, queue: str) -> int:
    """Return how many tasks of a queue no worker has taken yet; 0 if no worker has created it yet."""
    channel = connection.channel()
    try:
        answer: Any = channel.queue_declare(queue, passive=True)
    except amqp.NotFound:  # which has closed the channel
        return 0
    channel.close()
    return int(answer.message_count)
