"""The main path, and the failures of workers and broker, with RabbitMQ as the broker.

The tests are those of the modules that they come from; only `live_stack` is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import amqp
import pytest
from kombu.exceptions import OperationalError
from pytest_django import Settings

from instafeed.core.jobs import broker
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.monitoring import rabbitmq as probes_of_rabbitmq
from tests.support.eventually import eventually
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services
from tests.support.rabbitmq import RabbitMQ, needs_rabbitmq
from tests.system.feeds.test_worker_and_broker_failures import (  # noqa: F401
    author,
    cache,
    reader,
    test_killed_worker_loses_no_delivery,
    test_posts_are_delivered_after_a_broker_outage,
)
from tests.system.test_main_path import test_posts_reach_followers_by_push_and_pull  # noqa: F401

pytestmark = [needs_rabbitmq, pytest.mark.kills_a_part]


@pytest.fixture(scope="module")
def rabbitmq_stack() -> Iterator[tuple[LiveStack, RabbitMQ]]:
    """A system of its own: the workers of the session's `live_stack` would take its work from the same rows."""
    with prebuilt_services() as services:
        services.broker.stop()
        directory, log = services.layout.root / "rabbitmq", services.layout.log / "broker.log"
        with (
            RabbitMQ("broker", directory, log) as rabbitmq,
            LiveStack(services, broker=rabbitmq, CELERY_BROKER_URL=rabbitmq.url, CELEBRITY_THRESHOLD="5") as stack,
        ):
            eventually(lambda: all(exists(rabbitmq, queue) for queue in QUEUES))  # the workers have started
            yield stack, rabbitmq


@pytest.fixture(scope="module")
def rabbitmq(rabbitmq_stack: tuple[LiveStack, RabbitMQ]) -> RabbitMQ:
    return rabbitmq_stack[1]


@pytest.fixture(scope="module")
def live_stack(rabbitmq_stack: tuple[LiveStack, RabbitMQ]) -> LiveStack:
    return rabbitmq_stack[0]


def publish(rabbitmq: RabbitMQ, queue: str, count: int) -> None:
    """Send tasks that the workers do not know, so they drop them."""
    with rabbitmq.connect() as connection:
        channel = connection.channel()
        for _ in range(count):
            channel.basic_publish(amqp.Message("{}", content_type="application/json"), routing_key=queue)


def exists(rabbitmq: RabbitMQ, queue: str) -> bool:
    with rabbitmq.connect() as connection:
        try:
            connection.channel().queue_declare(queue, passive=True)
        except amqp.NotFound:
            return False
        return True


def test_health_and_metrics_of_rabbitmq(live_stack: LiveStack, rabbitmq: RabbitMQ) -> None:
    reports: list[dict[str, Any]] = []

    def is_ok() -> bool:
        """A probe that takes longer than usual reports "down"."""
        reports.append(live_stack.health("broker"))
        return bool(reports[-1]["status"] == "ok")

    eventually(is_ok)
    assert set(reports[-1]["queues"]) == set(QUEUES)
    assert "unacked" not in reports[-1]
    eventually(lambda: live_stack.metric("instafeed_up", part="broker") == 1)


def test_workers_declare_no_queues_for_delayed_tasks(live_stack: LiveStack, rabbitmq: RabbitMQ) -> None:
    assert exists(rabbitmq, "fan_out")
    assert not exists(rabbitmq, "celery_delayed_0")


def test_tasks_that_no_worker_has_taken_are_counted(live_stack: LiveStack, rabbitmq: RabbitMQ) -> None:
    def depth() -> int:
        """Return -1 if the broker did not answer in time."""
        count: int = live_stack.health("broker").get("queues", {}).get("fan_out", -1)
        return count

    eventually(lambda: depth() == 0)
    with live_stack.paused("worker"), live_stack.paused("worker-fan-out"):
        publish(rabbitmq, "fan_out", count=20)  # a worker may already hold some
        eventually(lambda: depth() >= 10)
    eventually(lambda: depth() == 0)


def test_rabbitmq_without_memory_is_full(live_stack: LiveStack, rabbitmq: RabbitMQ) -> None:
    def status() -> str:
        report: str = live_stack.get("/health").json()["checks"]["broker"]["status"]
        return report

    rabbitmq.control("set_vm_memory_high_watermark", "0")
    try:
        eventually(lambda: status() == "full")
        # Each web process has its own last report, up to a second old.
        eventually(lambda: live_stack.metric("instafeed_up", part="broker") == 0)
    finally:
        rabbitmq.control("set_vm_memory_high_watermark", "0.4")
    eventually(lambda: status() == "ok")


def test_tls_needs_a_certificate_of_a_known_authority(
    rabbitmq: RabbitMQ, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = rabbitmq.tls_url
    settings.CELERY_BROKER_USE_SSL = broker.tls_options(rabbitmq.tls_url)
    monkeypatch.setattr(probes_of_rabbitmq, "TIMEOUT", 60)
    with pytest.raises(OperationalError, match="certificate verify failed"):
        probes_of_rabbitmq.probe()
    monkeypatch.setenv("SSL_CERT_FILE", str(rabbitmq.certificate))
    assert probes_of_rabbitmq.probe()["status"] == "ok"
