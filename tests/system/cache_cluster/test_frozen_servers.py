"""Servers of a Redis Cluster that accept connections and do not answer cost one timeout, not one each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis
from pytest_django import Settings

from instafeed.core.cache import cluster, commands, keys
from instafeed.core.cache.cluster_client import ConnectionFactory
from instafeed.core.monitoring import health
from instafeed.devstack.redis import CacheCluster, RedisServer
from tests.support.cluster_cache import used_as_cache
from tests.support.eventually import eventually

TIMEOUT = 3.0  # seconds; so that one and two timeouts differ on a busy machine, too


@contextmanager
def frozen(cache: CacheCluster, servers: list[RedisServer]) -> Iterator[None]:
    for server in servers:
        server.pause()
    try:
        yield
    finally:
        for server in servers:
            server.resume()
        eventually(lambda: all(server.ready() for server in cache.servers) and cache.is_formed())
        cluster.reset()


def seconds_of(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def write_and_fail() -> None:
    with pytest.raises(redis.RedisError):
        commands.run_unguarded(writes())


def writes() -> list[tuple[str, str, int]]:
    return [("SET", keys.post_card(id_), 1) for id_ in range(1, 200)]


def test_frozen_servers_are_waited_for_together(cache_cluster: CacheCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "FAILURE_COOLDOWN", 10 * TIMEOUT)
    with used_as_cache(cache_cluster, TIMEOUT):
        commands.run_unguarded(writes())
        with frozen(cache_cluster, cache_cluster.servers[:2]):
            assert TIMEOUT <= seconds_of(write_and_fail) < 2 * TIMEOUT
            assert seconds_of(write_and_fail) < TIMEOUT, "writers do not wait for servers that have just failed"


def test_threads_are_not_connected_one_after_another(cache_cluster: CacheCluster) -> None:
    timeout = TIMEOUT / 3
    factory = ConnectionFactory({"SOCKET_TIMEOUT": timeout, "CONNECTION_POOL_KWARGS": {}})

    def connect(_: int) -> None:
        with pytest.raises(redis.RedisError):
            factory.connect(cache_cluster.url)

    with frozen(cache_cluster, cache_cluster.servers), ThreadPoolExecutor(4) as executor:
        alone = seconds_of(lambda: connect(0))
        assert seconds_of(lambda: list(executor.map(connect, range(4)))) < 2 * alone


def test_health_asks_all_servers_at_once(
    cache_cluster: CacheCluster, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "REDIS_TIMEOUT", TIMEOUT)
    password = cache_cluster.servers[0].password
    ports = [server.port for server in reversed(cache_cluster.servers)]  # a URL that no other test has used
    settings.REDIS_URL = f"redis+cluster://:{password}@" + ",".join(f"127.0.0.1:{port}" for port in ports)
    with used_as_cache(cache_cluster):
        assert health.probe_cache()["status"] == "ok"
        with frozen(cache_cluster, cache_cluster.servers[:2]):
            assert TIMEOUT <= seconds_of(health.probe_cache) < 2 * TIMEOUT
