"""/health, /health/live, /health/ready, the workers' sign of life, and the start-up checks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connections
from django.test import Client

from instafeed.celery import app
from instafeed.core import tasks
from instafeed.core.cache import keys
from instafeed.core.checks import check_timeouts
from instafeed.core.jobs import heartbeat
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.observability import health, probes
from instafeed.devstack.redis import BROKER_SETTINGS, CACHE_SETTINGS, RedisServer
from instafeed.devstack.state import DataDirectory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def all_workers(redis_cache: redis.Redis) -> None:
    for queue in QUEUES:
        redis_cache.set(keys.worker(queue), 1)
    heartbeat.record_sweep()


@pytest.fixture
def no_primary(settings: Any) -> Iterator[None]:
    """Nobody listens where the primary should be."""
    where = connections["default"].settings_dict
    port, where["PORT"] = where["PORT"], "1"
    yield
    where["PORT"] = port


def _get(client: Client, path: str = "/health") -> tuple[int, dict[str, Any]]:
    answer = client.get(path)
    return answer.status_code, answer.json()


def test_all_well(client: Client, all_workers: None) -> None:
    status, body = _get(client)
    assert (status, body["status"]) == (200, "ok"), body
    assert list(body["checks"]) == ["database", "replica", "cache", "broker", "workers"]
    for report in body["checks"].values():
        assert report["status"] == "ok"
        assert report["latency_ms"] < 2000
    assert body["checks"]["replica"]["lag_seconds"] < 10
    assert body["checks"]["replica"]["lag_bytes"] >= 0
    assert body["checks"]["cache"]["used_memory"] > 0


def test_it_needs_no_token_and_is_not_cached(client: Client) -> None:
    answer = client.get("/health", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


def test_queue_depths_are_told(client: Client, redis_broker: redis.Redis) -> None:
    redis_broker.rpush("fan_out", "one", "two")
    redis_broker.rpush("media", "three")
    report = _get(client)[1]["checks"]["broker"]
    assert report["queues"] == {"fan_out": 2, "notifications": 0, "media": 1, "maintenance": 0}


def test_a_queue_without_worker_degrades(client: Client, all_workers: None, redis_cache: redis.Redis) -> None:
    redis_cache.delete(keys.worker("media"))
    status, body = _get(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["workers"]["queues"]["media"] is False
    assert body["checks"]["workers"]["queues"]["fan_out"] is True


def test_a_beat_whose_tasks_do_not_run_degrades(client: Client, all_workers: None, redis_cache: redis.Redis) -> None:
    redis_cache.pexpire(keys.LAST_SWEEP, int((keys.LAST_SWEEP_TTL - heartbeat.SWEEP_TIMEOUT - 1) * 1000))
    status, body = _get(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["workers"]["beat"] is False
    assert all(body["checks"]["workers"]["queues"].values())


def test_a_beat_that_never_ran_degrades(client: Client, all_workers: None, redis_cache: redis.Redis) -> None:
    redis_cache.delete(keys.LAST_SWEEP)
    assert _get(client)[1]["checks"]["workers"]["status"] == "missing"


def test_beats_task_is_its_sign_of_life(redis_cache: redis.Redis) -> None:
    assert heartbeat.seconds_since_sweep(redis_cache) is None
    tasks.sweep_invalidations()
    since = heartbeat.seconds_since_sweep(redis_cache)
    assert since is not None
    assert 0 <= since < heartbeat.SWEEP_TIMEOUT


@pytest.fixture
def bounded(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Iterator[redis.Redis]:
    """A Redis server of its own, cache or broker: one that other tests use has to take their writes."""
    layout = DataDirectory(tmp_path)
    layout.log.mkdir()
    server = RedisServer(
        request.param, layout, "secret", {"cache": CACHE_SETTINGS, "broker": BROKER_SETTINGS}[request.param]
    )
    try:
        server.start(20)
        setattr(settings, {"cache": "REDIS_URL", "broker": "CELERY_BROKER_URL"}[request.param], server.url)
        with server.client() as client:
            yield client
    finally:
        server.stop()


@pytest.mark.parametrize("bounded", ["broker", "cache"], indirect=True)
def test_a_redis_that_refuses_writes_is_full(
    bounded: redis.Redis, client: Client, all_workers: None, request: pytest.FixtureRequest
) -> None:
    part = request.node.callspec.params["bounded"]
    bounded.config_set("maxmemory-policy", "noeviction")
    bounded.config_set("maxmemory", 1)
    status, body = _get(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"][part]["status"] == "full"
    assert body["checks"][part]["used_memory"] > body["checks"][part]["max_memory"] == 1


@pytest.mark.parametrize("bounded", ["broker"], indirect=True)
@pytest.mark.parametrize(("share", "status"), [(0.98, "full"), (0.5, "ok")])
def test_a_broker_is_full_a_little_before_it_refuses_writes(
    share: float, status: str, bounded: redis.Redis, client: Client, all_workers: None
) -> None:
    bounded.setrange("ballast", 20_000_000, "x")  # so that nothing else that happens there matters
    used = int(bounded.info("memory")["used_memory"])  # type: ignore[index]
    bounded.config_set("maxmemory", int(used / share))
    assert _get(client)[1]["checks"]["broker"]["status"] == status
    bounded.config_set("maxmemory-policy", "allkeys-lfu")
    assert health.probe_broker()["status"] == "ok", "what may evict is never full"


def test_without_the_primary_the_site_is_down(client: Client, no_primary: None) -> None:
    status, body = _get(client)
    assert (status, body["status"]) == (503, "down")
    assert body["checks"]["database"]["status"] == "down"
    assert _get(client, "/health/ready")[0] == 503
    assert _get(client, "/health/live") == (200, {"status": "ok"})


def test_without_replica_cache_or_broker_the_site_is_degraded(client: Client, all_workers: None, settings: Any) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://:secret@127.0.0.1:1/0"
    where = connections["replica1"].settings_dict
    port, where["PORT"] = where["PORT"], "1"
    try:
        answer = client.get("/health")
    finally:
        where["PORT"] = port
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    states = {name: report["status"] for name, report in body["checks"].items()}
    assert states == {"database": "ok", "replica": "down", "cache": "down", "broker": "down", "workers": "down"}
    for secret in ("secret", "127.0.0.1", where["PASSWORD"], where["USER"]):
        assert secret not in answer.content.decode().replace("instafeed_", "")
    assert client.get("/health/ready").status_code == 200


def test_a_lagging_replica_degrades(
    client: Client, all_workers: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "query_row", lambda alias, query: (5, 61.0) if alias == "replica1" else (1,))
    status, body = _get(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["replica"]["status"] == "lagging"
    assert body["checks"]["replica"]["lag_seconds"] == 61
    assert body["checks"]["replica"]["lag_bytes"] > 0


def test_no_replica_is_no_fault(client: Client, all_workers: None, settings: Any) -> None:
    settings.REPLICA_ALIASES = []
    status, body = _get(client)
    assert (status, body["status"]) == (200, "ok")
    assert body["checks"]["replica"]["status"] == "off"


def test_a_part_that_hangs_delays_the_answer_only_so_long(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    is_over = threading.Event()

    def hang() -> probes.Report:
        calls.append(1)
        is_over.wait(60)
        return {"status": "ok"}

    monkeypatch.setattr(health, "PROBES_TIMEOUT", 1.0)
    monkeypatch.setitem(health.PROBES, "cache", probes.Probe(hang))
    for _ in range(3):
        began = time.monotonic()
        status, body = _get(client)
        assert time.monotonic() - began < 20, "the limit, and what a busy machine takes"
        assert status == 200
        assert body["checks"]["cache"] == {"status": "down", "error": "Timeout"}
    is_over.set()
    assert len(calls) == 1  # the others waited for the same probe


def test_a_result_is_used_for_a_second(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(
        health.PROBES,
        "database",
        probes.Probe(lambda: calls.append(1) or {"status": "ok"}),  # type: ignore[func-returns-value]
    )
    for _ in range(5):
        _get(client, "/health/ready")
    assert len(calls) == 1
    monkeypatch.setattr(probes, "RESULT_TTL", 0)
    _get(client, "/health/ready")
    assert len(calls) == 2


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_only_reading_is_allowed(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
    assert client.head(path).status_code in (200, 503)


def test_a_heartbeat_names_the_queues_that_are_consumed(
    redis_cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Worker:
        class amqp:
            class queues:
                consume_from = {"media": None}

    heartbeat.renew_worker_keys(Worker)
    assert heartbeat.queues_with_workers(redis_cache) == {
        "fan_out": False,
        "notifications": False,
        "media": True,
        "maintenance": False,
    }
    assert 0 < redis_cache.ttl(keys.worker("media")) <= keys.WORKER_TTL


def test_a_dead_worker_is_noticed_within_fifteen_seconds(redis_cache: redis.Redis) -> None:
    assert app.steps["worker"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "instafeed.settings"}
    command = [
        *(sys.executable, "-m", "celery", "-A", "instafeed", "worker", "--pool", "solo", "-Q", "fan_out,media"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert _eventually(redis_cache, True, 30)
        assert not heartbeat.queues_with_workers(redis_cache)["notifications"]
        time.sleep(keys.WORKER_TTL + 1)
        assert heartbeat.queues_with_workers(redis_cache)["media"], "the keys are renewed"
        worker.send_signal(signal.SIGKILL)
        assert _eventually(redis_cache, False, 15)
    finally:
        worker.kill()
        worker.wait()


def _eventually(client: redis.Redis, alive: bool, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if heartbeat.queues_with_workers(client)["fan_out"] is alive:
            return True
        time.sleep(0.1)
    return False


def test_the_settings_pass_their_checks() -> None:
    assert check_timeouts(None) == []


def test_a_task_longer_than_the_visibility_timeout_stops_the_start(settings: Any) -> None:
    settings.CELERY_TASK_TIME_LIMIT = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert [problem.id for problem in check_timeouts(None)] == ["instafeed.E001"]
