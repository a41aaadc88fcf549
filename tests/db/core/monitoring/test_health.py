"""/health, /health/live, /health/ready, the workers' heartbeats, and the start-up checks."""

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
from instafeed.core.monitoring import health, probes
from instafeed.devstack.redis import BROKER_SETTINGS, CACHE_SETTINGS, RedisServer
from instafeed.devstack.state import StackLayout

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def all_workers(redis_cache: redis.Redis) -> None:
    for queue in QUEUES:
        redis_cache.set(keys.worker(queue), 1)
    heartbeat.record_sweep()


@pytest.fixture
def no_primary(settings: Any) -> Iterator[None]:
    """Point the primary's connection at a closed port."""
    database = connections["default"].settings_dict
    port, database["PORT"] = database["PORT"], "1"
    yield
    database["PORT"] = port


def get_health(client: Client, path: str = "/health") -> tuple[int, dict[str, Any]]:
    response = client.get(path)
    return response.status_code, response.json()


def test_all_services_ok(client: Client, all_workers: None) -> None:
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "ok"), body
    assert list(body["checks"]) == ["database", "replica", "cache", "broker", "workers"]
    for report in body["checks"].values():
        assert report["status"] == "ok"
        assert report["latency_ms"] < 2000
    assert body["checks"]["replica"]["lag_seconds"] < 10
    assert body["checks"]["replica"]["lag_bytes"] >= 0
    assert body["checks"]["cache"]["used_memory"] > 0


def test_health_needs_no_token_and_is_not_cached(client: Client) -> None:
    response = client.get("/health", headers={"Authorization": "Bearer nonsense"})
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]


def test_broker_report_has_queue_depths(client: Client, redis_broker: redis.Redis) -> None:
    redis_broker.rpush("fan_out", "one", "two")
    redis_broker.rpush("media", "three")
    report = get_health(client)[1]["checks"]["broker"]
    assert report["queues"] == {"fan_out": 2, "notifications": 0, "media": 1, "maintenance": 0}


def test_queue_without_worker_is_degraded(client: Client, all_workers: None, redis_cache: redis.Redis) -> None:
    redis_cache.delete(keys.worker("media"))
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["workers"]["queues"]["media"] is False
    assert body["checks"]["workers"]["queues"]["fan_out"] is True


def test_beat_without_recent_sweep_is_degraded(client: Client, all_workers: None, redis_cache: redis.Redis) -> None:
    redis_cache.pexpire(keys.LAST_SWEEP, int((keys.LAST_SWEEP_TTL - heartbeat.SWEEP_TIMEOUT - 1) * 1000))
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["workers"]["beat"] is False
    assert all(body["checks"]["workers"]["queues"].values())


def test_beat_that_never_ran_is_degraded(client: Client, all_workers: None, redis_cache: redis.Redis) -> None:
    redis_cache.delete(keys.LAST_SWEEP)
    assert get_health(client)[1]["checks"]["workers"]["status"] == "missing"


def test_sweep_is_beats_heartbeat(redis_cache: redis.Redis) -> None:
    assert heartbeat.seconds_since_sweep(redis_cache) is None
    tasks.sweep_invalidations()
    age = heartbeat.seconds_since_sweep(redis_cache)
    assert age is not None
    assert 0 <= age < heartbeat.SWEEP_TIMEOUT


@pytest.fixture
def limited_redis(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Iterator[redis.Redis]:
    """Start a separate Redis, cache or broker, whose memory a test may limit."""
    layout = StackLayout(tmp_path)
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


@pytest.mark.parametrize("limited_redis", ["broker", "cache"], indirect=True)
def test_redis_that_refuses_writes_is_full(
    limited_redis: redis.Redis, client: Client, all_workers: None, request: pytest.FixtureRequest
) -> None:
    part = request.node.callspec.params["limited_redis"]
    limited_redis.config_set("maxmemory-policy", "noeviction")
    limited_redis.config_set("maxmemory", 1)
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"][part]["status"] == "full"
    assert body["checks"][part]["used_memory"] > body["checks"][part]["max_memory"] == 1


@pytest.mark.parametrize("limited_redis", ["broker"], indirect=True)
@pytest.mark.parametrize(("share", "status"), [(0.98, "full"), (0.5, "ok")])
def test_broker_is_full_shortly_before_it_refuses_writes(
    share: float, status: str, limited_redis: redis.Redis, client: Client, all_workers: None
) -> None:
    limited_redis.setrange("ballast", 20_000_000, "x")  # dominates all other memory use
    used = int(limited_redis.info("memory")["used_memory"])  # type: ignore[index]
    limited_redis.config_set("maxmemory", int(used / share))
    assert get_health(client)[1]["checks"]["broker"]["status"] == status
    limited_redis.config_set("maxmemory-policy", "allkeys-lfu")
    assert health.probe_broker()["status"] == "ok", "a Redis that may evict keys is never full"


def test_site_is_down_without_the_primary(client: Client, no_primary: None) -> None:
    status, body = get_health(client)
    assert (status, body["status"]) == (503, "down")
    assert body["checks"]["database"]["status"] == "down"
    assert get_health(client, "/health/ready")[0] == 503
    assert get_health(client, "/health/live") == (200, {"status": "ok"})


def test_site_is_degraded_without_replica_cache_or_broker(client: Client, all_workers: None, settings: Any) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://:secret@127.0.0.1:1/0"
    database = connections["replica1"].settings_dict
    port, database["PORT"] = database["PORT"], "1"
    try:
        response = client.get("/health")
    finally:
        database["PORT"] = port
    body = response.json()
    assert (response.status_code, body["status"]) == (200, "degraded")
    states = {name: report["status"] for name, report in body["checks"].items()}
    assert states == {"database": "ok", "replica": "down", "cache": "down", "broker": "down", "workers": "down"}
    for secret in ("secret", "127.0.0.1", database["PASSWORD"], database["USER"]):
        assert secret not in response.content.decode().replace("instafeed_", "")
    assert client.get("/health/ready").status_code == 200


def test_lagging_replica_is_degraded(
    client: Client, all_workers: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "query_row", lambda alias, query: (5, 61.0) if alias == "replica1" else (1,))
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["replica"]["status"] == "lagging"
    assert body["checks"]["replica"]["lag_seconds"] == 61
    assert body["checks"]["replica"]["lag_bytes"] > 0


def test_site_without_replicas_is_ok(client: Client, all_workers: None, settings: Any) -> None:
    settings.REPLICA_ALIASES = []
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "ok")
    assert body["checks"]["replica"]["status"] == "off"


def test_hanging_probe_delays_the_response_up_to_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
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
        status, body = get_health(client)
        assert time.monotonic() - began < 20, "the limit, plus a margin for a busy machine"
        assert status == 200
        assert body["checks"]["cache"] == {"status": "down", "error": "Timeout"}
    is_over.set()
    assert len(calls) == 1  # the other requests waited for the same probe


def test_probe_results_are_reused_for_a_second(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(
        health.PROBES,
        "database",
        probes.Probe(lambda: calls.append(1) or {"status": "ok"}),  # type: ignore[func-returns-value]
    )
    for _ in range(5):
        get_health(client, "/health/ready")
    assert len(calls) == 1
    monkeypatch.setattr(probes, "RESULT_TTL", 0)
    get_health(client, "/health/ready")
    assert len(calls) == 2


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_only_safe_methods_are_allowed(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
    assert client.head(path).status_code in (200, 503)


def test_worker_heartbeat_covers_its_queues(redis_cache: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_dead_worker_is_detected_within_15_seconds(redis_cache: redis.Redis) -> None:
    assert app.steps["worker"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "instafeed.settings"}
    command = [
        *(sys.executable, "-m", "celery", "-A", "instafeed", "worker", "--pool", "solo", "-Q", "fan_out,media"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_for_worker(redis_cache, True, 30)
        assert not heartbeat.queues_with_workers(redis_cache)["notifications"]
        time.sleep(keys.WORKER_TTL + 1)
        assert heartbeat.queues_with_workers(redis_cache)["media"], "the keys are renewed"
        worker.send_signal(signal.SIGKILL)
        assert wait_for_worker(redis_cache, False, 15)
    finally:
        worker.kill()
        worker.wait()


def wait_for_worker(client: redis.Redis, alive: bool, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if heartbeat.queues_with_workers(client)["fan_out"] is alive:
            return True
        time.sleep(0.1)
    return False


def test_default_settings_pass_the_checks() -> None:
    assert check_timeouts(None) == []


def test_task_limit_above_visibility_timeout_fails_the_check(settings: Any) -> None:
    settings.CELERY_TASK_TIME_LIMIT = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert [problem.id for problem in check_timeouts(None)] == ["instafeed.E001"]
