from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.core.cache.server_connections import ServerConnection
from instafeed.devstack.redis import CacheCluster, RedisServer
from tests.support.cluster_cache import running_cluster, used_as_cache

SHORT_TIMEOUT = 0.5  # seconds


@pytest.fixture(scope="session")
def cache_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cache:
        yield cache


@pytest.fixture
def redis_cluster(cache_cluster: CacheCluster) -> Iterator[ClusterClient]:
    with used_as_cache(cache_cluster) as client:
        yield client


@pytest.fixture
def hurried_cluster(cache_cluster: CacheCluster) -> Iterator[ClusterClient]:
    """The same for tests that freeze servers: each is waited for only SHORT_TIMEOUT seconds."""
    with used_as_cache(cache_cluster, SHORT_TIMEOUT) as client:
        yield client


class Waits:
    """How long this process has waited in vain for servers: the timeouts of its connections, not measured times."""

    def __init__(self) -> None:
        self._seconds: list[tuple[int, float]] = []  # by port

    def add(self, connection: redis.Connection, seconds: float) -> None:
        self._seconds.append((connection.port, seconds))

    def take(self, servers: list[RedisServer]) -> list[float]:
        """Return the seconds of each wait for these servers since the last call, the longest first."""
        ports = {server.port for server in servers}
        found = [seconds for port, seconds in self._seconds if port in ports]
        self._seconds.clear()
        return sorted(found, reverse=True)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    waits = Waits()
    read, read_response = ServerConnection.read, redis.Connection.read_response

    def counted_read(self: ServerConnection, count: int) -> list[Any]:
        try:
            return read(self, count)
        except TimeoutError:
            waits.add(self, self._socket.gettimeout() or 0.0)
            raise

    def counted_read_response(self: redis.Connection, *arguments: Any, **options: Any) -> Any:
        try:
            return read_response(self, *arguments, **options)
        except redis.TimeoutError:
            waits.add(self, float(self.socket_timeout or 0))
            raise

    monkeypatch.setattr(ServerConnection, "read", counted_read)
    monkeypatch.setattr(redis.Connection, "read_response", counted_read_response)
    return waits
