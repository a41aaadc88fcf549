"""deploy/redis/ on a real redis-server, started as docker-compose.yml starts it."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from instafeed.devstack.child_process import Program
from instafeed.devstack.ports import free_port
from instafeed.devstack.redis import redis_executable
from tests.deploy import compose_file
from tests.eventually import eventually

pytestmark = pytest.mark.xdist_group("deploy_redis")


class Server(Program):
    """`redis` or `redis-broker`, in a directory of its own."""

    def __init__(self, name: str, root: Path) -> None:
        service = compose_file.services()[name]
        self.port = free_port()
        words = [*service["entrypoint"], *shlex.split(service["command"])]
        mounted = compose_file.mounts(service)
        words = [str(mounted.get(word, word)) for word in words]
        local = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(root)]
        super().__init__(name, root / f"{name}.log", [*words, *local])
        programs = root / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "redis-server").symlink_to(redis_executable())
        self.environment = {"PATH": f"{programs}:{os.environ['PATH']}", **service["environment"]}

    def client(self, password: str | None = compose_file.SECRETS["REDIS_PASSWORD"]) -> redis.Redis:
        return redis.Redis(port=self.port, password=password, decode_responses=True, socket_timeout=2)

    def ready(self) -> bool:
        try:
            return self.running and bool(self.client().ping())
        except redis.RedisError:
            return False


def started(name: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="instafeed-redis-") as root:
        server = Server(name, Path(root))
        try:
            server.start(20)
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def cache() -> Iterator[Server]:
    yield from started("redis")


@pytest.fixture(scope="module")
def broker() -> Iterator[Server]:
    yield from started("redis-broker")


def test_the_cache_forgets_by_use_and_writes_nothing(cache: Server) -> None:
    said = cache.client().config_get("*")
    assert said["maxmemory"] == str(2**30)
    assert (said["maxmemory-policy"], said["save"], said["appendonly"]) == ("allkeys-lfu", "", "no")


def test_the_broker_forgets_nothing_not_even_when_it_is_killed(broker: Server) -> None:
    said = broker.client().config_get("*")
    assert (said["maxmemory-policy"], said["appendonly"], said["appendfsync"]) == ("noeviction", "yes", "everysec")
    assert int(said["maxmemory"]) > 0
    broker.client().rpush("fan_out", "a task")
    eventually(lambda: broker.client().info("persistence")["aof_pending_bio_fsync"] == 0)
    broker.kill()
    broker.start(20)
    assert broker.client().lrange("fan_out", 0, -1) == ["a task"]


def test_both_ask_for_the_password_which_nobody_reads_off_a_command_line(cache: Server, broker: Server) -> None:
    for server in (cache, broker):
        for password in (None, "another"):
            with pytest.raises(redis.AuthenticationError):
                server.client(password).ping()
        assert compose_file.SECRETS["REDIS_PASSWORD"] not in " ".join(psutil.Process(server.pid).cmdline())
