"""The client of a Redis Cluster, and the generations of its servers.

A server may come back with data that lack what it had acknowledged: a replica that was promoted, a snapshot, a
server that was restarted or got a slot from another. So each process of a server has a *generation*, the beginning of
its `run_id`, and a key that a connection sends begins with it. What another process wrote is never read. It expires,
or is evicted, and nothing in Redis needs to be kept. docs/adr/0016 names the gaps that remain.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from django_redis.pool import ConnectionFactory as DjangoRedisConnectionFactory
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from instafeed.core.cache.server_connections import ServerConnections

GENERATION_LENGTH = 8  # hexadecimal digits of the run id
_RUN_ID = re.compile(rb"run_id:([0-9a-f]+)")


def _learn_generation(connection: Any) -> None:
    """Set the generation of the process at the other end of a new connection."""
    try:
        connection.send_command("INFO", "server", check_health=False)
        reply = connection.read_response()
    except BaseException:  # redis-py would keep a connection that a time limit interrupts here, with an unread reply
        connection.disconnect()
        raise
    match = _RUN_ID.search(reply if isinstance(reply, bytes) else str(reply).encode())
    if match is None:
        raise redis.ConnectionError("INFO names no run_id")
    connection.generation = f"{match[1][:GENERATION_LENGTH].decode()}-"


def fetch_generation(client: RedisCluster, node: ClusterNode) -> str:
    pool = client.get_redis_connection(node).connection_pool
    connection: Any = pool.get_connection()
    try:
        generation: str = connection.generation
        return generation
    finally:
        pool.release(connection)


class ClusterClient(RedisCluster):
    """A `RedisCluster` that raises redis.RedisError only, with connections of our own.

    `start_servers`: the hosts and ports that the URL names. All known servers may have new addresses one day.
    """

    def __init__(self, start_servers: list[tuple[str, int]], **options: Any) -> None:
        self.start_servers = start_servers
        self._connections: dict[str, ServerConnections] = {}
        super().__init__(startup_nodes=[ClusterNode(host, port) for host, port in start_servers], **options)

    def command(self, **options: Any) -> dict[str, Any]:
        """Return no descriptions of commands. A new client asks a random server for them, which may be down."""
        return {}

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        with _as_redis_errors():
            return super().execute_command(*arguments, **options)

    def connections(self, node: ClusterNode) -> ServerConnections:
        connections = self._connections.get(node.name)
        if connections is None:
            # Two threads may do this at once. Then one connection is closed later instead of kept.
            connections = ServerConnections(self.get_redis_connection(node).connection_pool)
            self._connections[node.name] = connections
        return connections

    def forget_former_servers(self) -> None:
        """Close the connections to servers that have left the cluster."""
        for name in self._connections.keys() - self.nodes_manager.nodes_cache.keys():
            self._connections.pop(name).close()

    def disconnect_connection_pools(self) -> None:
        for connections in list(self._connections.values()):
            connections.close()
        super().disconnect_connection_pools()


@contextmanager
def _as_redis_errors() -> Iterator[None]:
    """Raise redis.ConnectionError for what redis-py raises if it finds no server; that is no RedisError."""
    try:
        yield
    except (RedisClusterException, IndexError) as error:  # IndexError: no server has a slot
        raise redis.ConnectionError(str(error)) from error


class ConnectionFactory(DjangoRedisConnectionFactory):
    """Make one `RedisCluster` for each process, from a URL as `redis+cluster://:password@host:port,host:port`."""

    _client: ClusterClient | None = None
    _connecting = threading.Lock()

    def connect(self, url: str) -> ClusterClient:
        """Raises redis.RedisError if no server answers, and while another thread waits for one that does not."""
        timeout: float = self.options["SOCKET_TIMEOUT"]
        lock = self._connecting
        if not lock.acquire(timeout=timeout):
            raise redis.ConnectionError("another thread is connecting")
        try:
            if ConnectionFactory._client is None:
                ConnectionFactory._client = make_client(url, timeout, **self.options["CONNECTION_POOL_KWARGS"])
            return ConnectionFactory._client
        finally:
            lock.release()

    @classmethod
    def replace_lock(cls) -> None:
        """In a forked process: a thread that the fork did not copy may have held it."""
        cls._connecting = threading.Lock()

    def disconnect(self, connection: Any) -> None:
        connection.disconnect_connection_pools()


os.register_at_fork(after_in_child=ConnectionFactory.replace_lock)


def make_client(url: str, timeout: float, **options: Any) -> ClusterClient:
    """Return a client that waits for a server for at most `timeout` seconds.

    Raises redis.RedisError if no server answers.
    """
    parts = urlsplit(url)
    credentials, _, names = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    servers = [urlsplit(f"//{name}") for name in names.split(",")]
    with _as_redis_errors():
        return ClusterClient(
            [(server.hostname or "", server.port or 6379) for server in servers],
            username=unquote(username) or None,
            password=unquote(password) or None,
            ssl=parts.scheme == "rediss+cluster",
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            require_full_coverage=False,
            redis_connect_func=_learn_generation,
            **options,
        )
