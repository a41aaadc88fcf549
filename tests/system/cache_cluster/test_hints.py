"""Hints reach the process for streams through a Redis Cluster too."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from redis.cluster import RedisCluster

from instafeed.core.cache import hints
from instafeed.core.cache.hints import Hint, HintKind
from instafeed.devstack.redis import CacheCluster, RedisServer
from instafeed.stream.listener import Listener
from tests.support.eventually import eventually


@pytest.fixture
def received(hurried_cluster: RedisCluster) -> Iterator[list[Hint | None]]:
    """What a listener receives. It has subscribed."""
    received: list[Hint | None] = []
    listener = Listener(received.append)
    listener.start()
    try:
        eventually(lambda: None in received)
        yield received
    finally:
        listener.stop()
        # Its subscription must not be taken for that of the next test's listener.
        eventually(lambda: "listener" not in [thread.name for thread in threading.enumerate()])


def publish_until_received(received: list[Hint | None], viewer_id: int) -> None:
    """Publish a hint again and again: the first ones may be lost."""

    def is_received() -> bool:
        hints.publish({HintKind.FEEDS: [viewer_id, 2**62]})
        return any(hint and hint.ids == (viewer_id, 2**62) for hint in received)

    eventually(is_received)


def test_hints_of_a_cluster_are_received(received: list[Hint | None]) -> None:
    publish_until_received(received, 1)


def test_a_listener_subscribes_again_when_its_server_is_frozen(
    received: list[Hint | None], cache_cluster: CacheCluster
) -> None:
    def subscribed() -> list[RedisServer]:
        return [one for one in cache_cluster.servers if has_subscription(one)]

    eventually(lambda: len(subscribed()) == 1)  # a server may not have noticed yet that an earlier connection is closed
    (server,) = subscribed()
    before = received.count(None)
    server.pause()
    try:
        eventually(lambda: received.count(None) > before)
    finally:
        server.resume()
    publish_until_received(received, 2)


def has_subscription(server: RedisServer) -> bool:
    with server.client() as client:
        return bool(client.pubsub_numpat())
