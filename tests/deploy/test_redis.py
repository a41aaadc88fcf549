"""deploy/redis/ on a real redis-server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

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


def test_services_of_the_profile_form_a_cluster(tmp_path: Path) -> None:
    servers = [ComposeRedis(f"redis-{number}", tmp_path) for number in (1, 2, 3)]
    try:
        for server in servers:
            server.start()
        form_cluster(servers)
        eventually(lambda: is_formed(servers))
        owners = servers[0].client().execute_command("CLUSTER NODES")
        assert {len(node["slots"]) for node in owners.values()} == {1}
        form_cluster(servers)  # changes nothing
        assert servers[0].client().execute_command("CLUSTER NODES").keys() == owners.keys()

        for server in servers:
            server.kill()
            server.start()
        eventually(lambda: is_formed(servers))  # as `docker compose restart`
        servers[1].client().execute_command("CLUSTER", "RESET", "HARD")  # half a cluster
        servers[0].client().execute_command("CLUSTER", "DELSLOTS", "0")
        form_cluster(servers)
        eventually(lambda: is_formed(servers))
    finally:
        for server in servers:
            server.stop()


def form_cluster(servers: list[ComposeRedis]) -> None:
    """Run the service `redis-cluster` for these servers."""
    service = compose_file.services()["redis-cluster"]
    script = compose_file.mounts(service)["/form-cluster.sh"]
    environment = servers[0].environment or {}
    formed = subprocess.run(
        ["/bin/sh", str(script), *(f"127.0.0.1:{server.port}" for server in servers)],
        env={**service["environment"], "PATH": environment["PATH"]},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert formed.returncode == 0, formed.stdout + formed.stderr


def is_formed(servers: list[ComposeRedis]) -> bool:
    """Return whether each server knows the owner of every slot. They learn it from each other, one after the other."""
    return all(server.client().execute_command("CLUSTER INFO")["cluster_slots_ok"] == "16384" for server in servers)


def test_password_is_required_and_not_on_the_command_line(cache: ComposeRedis, broker: ComposeRedis) -> None:
    for server, other in ((cache, "REDIS_BROKER_PASSWORD"), (broker, "REDIS_PASSWORD")):
        for password in (None, compose_file.SECRETS[other]):
            with pytest.raises(redis.AuthenticationError):
                server.client(password).ping()
        assert "-of-the-tests" not in " ".join(psutil.Process(server.pid).cmdline())
