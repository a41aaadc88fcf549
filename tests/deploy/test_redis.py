"""deploy/redis/ on a real redis-server."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
import redis

from tests.deploy import compose_file
from tests.deploy.redis_server import ComposeRedis, run_redis
from tests.support.eventually import eventually

pytestmark = pytest.mark.xdist_group("deploy_redis")


@pytest.fixture(scope="module")
def cache() -> Iterator[ComposeRedis]:
    with run_redis("redis") as server:
        yield server


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
    assert int(str(config["maxmemory"])) > 0
    broker.client().rpush("fan_out", "a task")
    eventually(lambda: broker.client().info("persistence")["aof_pending_bio_fsync"] == 0)
    broker.kill()
    broker.start()
    assert broker.client().lrange("fan_out", 0, -1) == ["a task"]


def test_password_is_required_and_not_on_the_command_line(cache: ComposeRedis, broker: ComposeRedis) -> None:
    for server, other in ((cache, "REDIS_BROKER_PASSWORD"), (broker, "REDIS_PASSWORD")):
        for password in (None, compose_file.SECRETS[other]):
            with pytest.raises(redis.AuthenticationError):
                server.client(password).ping()
        assert "-of-the-tests" not in " ".join(psutil.Process(server.pid).cmdline())
