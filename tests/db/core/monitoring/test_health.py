"""/health, /health/live, /health/ready, the workers' heartbeats, and the start-up checks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.db import connections
from django.test import Client
from pytest_django import Settings

from instafeed.core import tasks
from instafeed.core.cache import keys
from instafeed.core.checks import check_timeouts
from instafeed.core.jobs import heartbeat
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.monitoring import health, probes
from instafeed.devstack.redis import RedisServer
from instafeed.devstack.state import StackLayout

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]


@pytest.fixture
def all_workers(redis_cache: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every queue has a worker, and beat has just run."""
    monkeypatch.setattr(heartbeat, "SWEEP_TIMEOUT", 1_000.0)
    for queue in QUEUES:
        redis_cache.set(keys.worker(queue), 1)
    heartbeat.record_sweep()


def get_health(client: Client, path: str = "/health") -> tuple[int, dict[str, Any]]:
    response = client.get(path)
    return response.status_code, response.json()


@pytest.mark.usefixtures("all_workers")
def test_all_services_ok(client: Client, settings: Settings) -> None:
    settings.REPLICA_MAX_LAG = 1_000
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "ok"), body
    assert list(body["checks"]) == ["database", "replica", "cache", "broker", "workers"]
    for report in body["checks"].values():
        assert report["status"] == "ok"
        assert report["latency_ms"] > 0
    assert body["checks"]["replica"]["lag_seconds"] >= 0
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
    assert report["queues"] == {
        "fan_out": 2,
        "notifications": 0,
        "media": 1,
        "mail": 0,
        "push": 0,
        "bulk": 0,
        "maintenance": 0,
    }


@pytest.mark.usefixtures("all_workers")
def test_queue_without_worker_is_degraded(client: Client, redis_cache: redis.Redis) -> None:
    redis_cache.delete(keys.worker("media"))
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["workers"]["queues"]["media"] is False
    assert body["checks"]["workers"]["queues"]["fan_out"] is True


@pytest.mark.usefixtures("all_workers")
def test_beat_without_recent_sweep_is_degraded(client: Client, redis_cache: redis.Redis) -> None:
    redis_cache.pexpire(keys.LAST_SWEEP, int((keys.LAST_SWEEP_TTL - heartbeat.SWEEP_TIMEOUT - 1) * 1000))
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["workers"]["beat"] is False
    assert all(body["checks"]["workers"]["queues"].values())


@pytest.mark.usefixtures("all_workers")
@pytest.mark.parametrize(
    ("starting_seconds", "status", "overall"), [(0.0, "missing", "degraded"), (1e9, "starting", "starting")]
)
def test_beat_that_never_ran_is_starting_at_first(
    client: Client,
    redis_cache: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    starting_seconds: float,
    status: str,
    overall: str,
) -> None:
    settings.REPLICA_MAX_LAG = 1_000
    monkeypatch.setattr(health, "STARTING_SECONDS", starting_seconds)
    redis_cache.delete(keys.LAST_SWEEP)
    code, body = get_health(client)
    assert (code, body["status"], body["checks"]["workers"]["status"]) == (200, overall, status)


def test_sweep_is_beats_heartbeat(redis_cache: redis.Redis) -> None:
    assert heartbeat.seconds_since_sweep(redis_cache) is None
    tasks.sweep_invalidations()
    assert heartbeat.seconds_since_sweep(redis_cache) is not None
    redis_cache.expire(keys.LAST_SWEEP, keys.LAST_SWEEP_TTL - 100)
    assert heartbeat.seconds_since_sweep(redis_cache) == pytest.approx(100, abs=50)


@pytest.fixture(scope="module")
def small_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of its own, because a memory limit holds for a whole server."""
    layout = StackLayout(tmp_path_factory.mktemp("redis"))
    layout.log.mkdir()
    server = RedisServer("broker", layout.broker, layout.log, "secret", {"maxmemory-policy": "noeviction"})
    try:
        server.start(100)
        yield server
    finally:
        server.stop()


@pytest.fixture
def small_redis_client(small_redis: RedisServer) -> Iterator[redis.Redis]:
    with small_redis.client() as client:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.flushall()
        yield client


@pytest.mark.parametrize(("part", "setting"), [("broker", "CELERY_BROKER_URL"), ("cache", "REDIS_URL")])
def test_redis_that_refuses_writes_is_full(
    part: str,
    setting: str,
    small_redis: RedisServer,
    small_redis_client: redis.Redis,
    client: Client,
    settings: Settings,
) -> None:
    setattr(settings, setting, small_redis.url)
    small_redis_client.config_set("maxmemory", 1)
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"][part]["status"] == "full"
    assert body["checks"][part]["used_memory"] > body["checks"][part]["max_memory"] == 1


@pytest.mark.parametrize(("share", "status"), [(0.98, "full"), (0.5, "ok")])
def test_broker_is_full_shortly_before_it_refuses_writes(
    share: float, status: str, small_redis: RedisServer, small_redis_client: redis.Redis, settings: Settings
) -> None:
    settings.CELERY_BROKER_URL = small_redis.url
    small_redis_client.setrange("ballast", 20_000_000, "x")  # dominates all other memory use
    used = int(small_redis_client.info("memory")["used_memory"])
    small_redis_client.config_set("maxmemory", int(used / share))
    assert health.probe_broker()["status"] == status
    small_redis_client.config_set("maxmemory-policy", "allkeys-lfu")
    assert health.probe_broker()["status"] == "ok", "a Redis that may evict keys is never full"


def test_site_is_down_without_the_primary(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", "1")
    status, body = get_health(client)
    assert (status, body["status"]) == (503, "down")
    assert body["checks"]["database"]["status"] == "down"
    assert get_health(client, "/health/ready")[0] == 503
    assert get_health(client, "/health/live") == (200, {"status": "ok"})


def test_site_is_degraded_without_replica_cache_or_broker(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://:secret@127.0.0.1:1/0"
    replica = connections["replica1"].settings_dict
    monkeypatch.setitem(replica, "PORT", "1")
    response = client.get("/health")
    body = response.json()
    assert (response.status_code, body["status"]) == (200, "degraded")
    states = {name: report["status"] for name, report in body["checks"].items()}
    assert states == {"database": "ok", "replica": "down", "cache": "down", "broker": "down", "workers": "down"}
    for secret in ("secret", "127.0.0.1", replica["PASSWORD"], replica["USER"]):
        assert secret not in response.content.decode().replace("instafeed_", "")
    assert client.get("/health/ready").status_code == 200


@pytest.mark.usefixtures("all_workers")
def test_lagging_replica_is_degraded(client: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.REPLICA_MAX_LAG = 60
    monkeypatch.setattr(health, "query_row", lambda alias, query: (5, 61.0) if alias == "replica1" else (0,))
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["replica"]["status"] == "lagging"
    assert body["checks"]["replica"]["lag_seconds"] == 61
    assert body["checks"]["replica"]["lag_bytes"] > 0


@pytest.mark.usefixtures("all_workers")
def test_site_without_replicas_is_ok(client: Client, settings: Settings) -> None:
    settings.REPLICA_ALIASES = []
    status, body = get_health(client)
    assert (status, body["status"]) == (200, "ok")
    assert body["checks"]["replica"]["status"] == "off"


def test_hanging_probe_delays_the_response_up_to_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    is_over = threading.Event()

    def hang() -> probes.Report:
        calls.append(1)
        is_over.wait()
        return {"status": "ok"}

    get_health(client)
    monkeypatch.setattr(probes, "RESULT_TTL", 1_000)  # the other probes have their results
    monkeypatch.setattr(health, "PROBES_TIMEOUT", 0.1)
    monkeypatch.setitem(health.PROBES, "cache", probes.Probe(hang))
    try:
        for _ in range(3):
            status, body = get_health(client)
            assert status == 200
            assert body["checks"]["cache"] == {"status": "down", "error": "Timeout"}
    finally:
        is_over.set()
    assert health.PROBES["cache"].ask().result()["status"] == "ok"
    assert len(calls) == 1  # all requests waited for the same probe


def test_probes_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2)

    def meet() -> probes.Report:
        meeting.wait(timeout=60)
        return {"status": "ok"}

    reports = probes.run_probes({"one": probes.Probe(meet), "other": probes.Probe(meet)}, limit=120)
    assert [report["status"] for report in reports.values()] == ["ok", "ok"]


def test_reset_forgets_a_hanging_check() -> None:
    hangs, is_over = threading.Event(), threading.Event()

    def check() -> probes.Report:
        if not hangs.is_set():
            hangs.set()
            is_over.wait()
        return {"status": "ok"}

    probe = probes.Probe(check)
    hanging = probe.ask()
    assert hangs.wait(timeout=60)
    try:
        probes.reset()
        assert probe.ask().result(timeout=60)["status"] == "ok"
        assert not hanging.done()
    finally:
        is_over.set()


def test_probe_results_are_reused_while_they_are_new(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def check() -> probes.Report:
        calls.append(1)
        return {"status": "ok"}

    monkeypatch.setitem(health.PROBES, "database", probes.Probe(check))
    monkeypatch.setattr(probes, "RESULT_TTL", 1_000)
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
    monkeypatch.setattr(keys, "WORKER_TTL", 1_000)

    class Worker:
        class amqp:
            class queues:
                consume_from = {"media": None}

    heartbeat.renew_worker_keys(Worker)
    assert heartbeat.queues_with_workers(redis_cache) == {
        "fan_out": False,
        "notifications": False,
        "media": True,
        "mail": False,
        "push": False,
        "bulk": False,
        "maintenance": False,
    }
    assert 0 < redis_cache.ttl(keys.worker("media")) <= keys.WORKER_TTL


def test_default_settings_pass_the_checks() -> None:
    assert check_timeouts(None) == []


def test_task_limit_above_visibility_timeout_fails_the_check(settings: Settings) -> None:
    settings.CELERY_TASK_TIME_LIMIT = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert [problem.id for problem in check_timeouts(None)] == ["instafeed.E001"]
