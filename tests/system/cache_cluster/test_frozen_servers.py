"""Servers of a Redis Cluster that accept connections and do not answer cost one timeout, not one each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event, current_thread
from typing import Any, NoReturn

import pytest
import redis
from pytest_django import Settings

from instafeed.core.cache import cluster, cluster_client, commands, keys
from instafeed.core.cache.cluster import HURRIED_TIMEOUT
from instafeed.core.cache.cluster_client import ClusterClient, ConnectionFactory
from instafeed.core.monitoring import health
from instafeed.devstack.redis import CacheCluster, RedisServer
from tests.support.cluster_cache import used_as_cache
from tests.support.eventually import TIMEOUT as LONG
from tests.support.eventually import eventually
from tests.system.cache_cluster.conftest import Waits

TIMEOUT = 3.0  # seconds that a server is waited for


@contextmanager
def frozen(cache: CacheCluster, servers: list[RedisServer]) -> Iterator[list[RedisServer]]:
    for server in servers:
        server.pause()
    try:
        yield servers
    finally:
        for server in servers:
            server.resume()
        eventually(lambda: all(server.ready() for server in cache.servers) and cache.is_formed())
        cluster.reset()


def write_and_fail() -> None:
    with pytest.raises(redis.RedisError):
        commands.run_unguarded(writes())


def writes() -> list[tuple[str, str, int]]:
    return [("SET", keys.post_card(id_), 1) for id_ in range(1, 200)]


def test_frozen_servers_are_waited_for_together(
    cache_cluster: CacheCluster, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "FAILURE_COOLDOWN", LONG)
    with used_as_cache(cache_cluster, TIMEOUT):
        commands.run_unguarded(writes())
        with frozen(cache_cluster, cache_cluster.servers[:2]) as servers:
            write_and_fail()
            assert waits.take(servers) == [TIMEOUT, HURRIED_TIMEOUT]
            write_and_fail()
            assert waits.take(servers) == [HURRIED_TIMEOUT] * 2, "writers do not wait for servers that have just failed"


def test_threads_do_not_wait_for_another_that_is_connecting(
    cache_cluster: CacheCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or they would be connected one after another, each after the timeouts of all servers."""
    factory = ConnectionFactory({"SOCKET_TIMEOUT": 0.1, "CONNECTION_POOL_KWARGS": {}})
    with frozen(cache_cluster, cache_cluster.servers), pytest.raises(redis.RedisError):
        factory.connect(cache_cluster.url)
    is_connecting, ends = Event(), Event()

    def wait_for_frozen_servers(*_: Any, **__: Any) -> NoReturn:
        is_connecting.set()
        ends.wait(LONG)
        raise redis.TimeoutError("all servers are frozen")

    monkeypatch.setattr(cluster_client, "make_client", wait_for_frozen_servers)
    with ThreadPoolExecutor(4) as executor:
        first = executor.submit(factory.connect, cache_cluster.url)
        try:
            assert is_connecting.wait(LONG)
            for other in [executor.submit(factory.connect, cache_cluster.url) for _ in range(3)]:
                with pytest.raises(redis.ConnectionError, match="another thread is connecting"):
                    other.result(LONG / 2)
        finally:
            ends.set()
        with pytest.raises(redis.TimeoutError):
            first.result(LONG)


def test_health_asks_all_servers_at_once(
    cache_cluster: CacheCluster, settings: Settings, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "REDIS_TIMEOUT", TIMEOUT)
    password = cache_cluster.servers[0].password
    ports = [server.port for server in reversed(cache_cluster.servers)]  # a URL that no other test has used
    settings.REDIS_URL = f"redis+cluster://:{password}@" + ",".join(f"127.0.0.1:{port}" for port in ports)
    all_are_asked = Barrier(len(cache_cluster.servers))
    get_connection = ClusterClient.get_redis_connection

    def ask_with_the_others(*arguments: Any) -> redis.Redis:
        if current_thread().name.startswith("probe-server"):
            all_are_asked.wait(LONG)  # raises if one server is asked after another
        return get_connection(*arguments)

    with used_as_cache(cache_cluster):
        eventually(lambda: health.probe_cache()["status"] == "ok")
        monkeypatch.setattr(ClusterClient, "get_redis_connection", ask_with_the_others)
        with frozen(cache_cluster, cache_cluster.servers[:2]) as servers:
            assert health.probe_cache()["status"] == "down"
            assert waits.take(servers) == [TIMEOUT] * 2, "none is waited for again to learn who has the slots"
