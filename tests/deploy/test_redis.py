"""deploy/redis/ on a real redis-server, started as in docker-compose.yml."""

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
from tests.support.eventually import eventually

pytestmark = pytest.mark.xdist_group("deploy_redis")


class ComposeRedis(Program):
    """`redis` or `redis-broker`, in its own directory."""

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


def run_redis(name: str) -> Iterator[ComposeRedis]:
    with tempfile.TemporaryDirectory(prefix="instafeed-redis-") as root:
        server = ComposeRedis(name, Path(root))
        try:
            server.start(20)
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="module")
def cache() -> Iterator[ComposeRedis]:
    yield from run_redis("redis")


@pytest.fixture(scope="module")
def broker() -> Iterator[ComposeRedis]:
    yield from run_redis("redis-broker")


def test_cache_is_lfu_without_persistence(cache: ComposeRedis) -> None:
    config = cache.client().config_get("*")
    assert config["maxmemory"] == str(2**30)
    assert (config["maxmemory-policy"], config["save"], config["appendonly"]) == ("allkeys-lfu", "", "no")


def test_broker_keeps_tasks_when_it_is_killed(broker: ComposeRedis) -> None:
    config = broker.client().config_get("*")
    assert (config["maxmemory-policy"], config["appendonly"], config["appendfsync"]) == (
        "noeviction",
        "yes",
        "everysec",
    )
    assert int(config["maxmemory"]) > 0
    broker.client().rpush("fan_out", "a task")
    eventually(lambda: broker.client().info("persistence")["aof_pending_bio_fsync"] == 0)
    broker.kill()
    broker.start(20)
    assert broker.client().lrange("fan_out", 0, -1) == ["a task"]


def test_password_is_required_and_not_on_the_command_line(cache: ComposeRedis, broker: ComposeRedis) -> None:
    for server in (cache, broker):
        for password in (None, "another"):
            with pytest.raises(redis.AuthenticationError):
                server.client(password).ping()
        assert compose_file.SECRETS["REDIS_PASSWORD"] not in " ".join(psutil.Process(server.pid).cmdline())
