"""The broker is a Redis behind Sentinel, and its master dies: tasks go on with the replica."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services
from tests.support.sentinel import MASTER, SentinelBroker

pytestmark = pytest.mark.kills_a_part


@pytest.fixture(scope="module")
def sentinel_stack() -> Iterator[tuple[LiveStack, SentinelBroker]]:
    """A system of its own: the workers of the session's `live_stack` would take its work from the same rows.

    Its own broker runs, unused. Nothing restarts the servers behind Sentinel.
    """
    with (
        prebuilt_services() as services,
        SentinelBroker(services.layout, "a-password") as broker,
        LiveStack(
            services,
            CELERY_BROKER_URL=broker.url,
            CELERY_BROKER_SENTINEL_MASTER=MASTER,
            CELERY_BROKER_SENTINEL_PASSWORD=broker.password,
        ) as stack,
    ):
        yield stack, broker


@pytest.fixture(scope="module")
def live_stack(sentinel_stack: tuple[LiveStack, SentinelBroker]) -> LiveStack:
    return sentinel_stack[0]


@pytest.fixture(scope="module")
def broker(sentinel_stack: tuple[LiveStack, SentinelBroker]) -> SentinelBroker:
    return sentinel_stack[1]


def test_posts_are_delivered_after_a_failover_of_the_broker(live_stack: LiveStack, broker: SentinelBroker) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    assert reader.feed() == []
    expected = [author.create_post("before the failover")]
    eventually(lambda: reader.feed() == expected)
    eventually(lambda: live_stack.health("broker")["status"] == "ok")  # a probe that takes longer than usual fails
    eventually(lambda: live_stack.health("broker").get("max_memory", 0) > 0)

    broker.first.kill()
    expected.insert(0, author.create_post("without a master"))
    eventually(lambda: broker.master_port() == broker.second.port)
    eventually(lambda: reader.feed() == expected)
    expected.insert(0, author.create_post("after the failover"))
    eventually(lambda: reader.feed() == expected)
    eventually(lambda: live_stack.health("broker")["status"] == "ok")
