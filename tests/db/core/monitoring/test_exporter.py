"""/metrics: its content, who may read it, and its response time when services are down."""

from __future__ import annotations

import threading

import pytest
import redis
from django.db import connections
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from instafeed.core.jobs import heartbeat
from instafeed.core.monitoring import exporter, health, probes
from instafeed.core.observability import metrics
from tests.support.metric_values import scrape_metrics

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]
TOKEN = "monitoring-token"


def test_response_has_all_metrics_as_prometheus_text(client: Client) -> None:
    heartbeat.record_sweep()
    response = client.get("/metrics")
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "no-store" in response["Cache-Control"]
    families = {family.name for family in text_string_to_metric_families(response.content.decode())}
    assert {metric.name for metric in metrics.REGISTRY.collect()} | metrics.SCRAPED_GAUGES.keys() <= families


def test_service_gauges(client: Client, redis_broker: redis.Redis) -> None:
    redis_broker.rpush("media", "one", "two")
    values = scrape_metrics(client)
    assert {part: values["instafeed_up", part] for part in ("primary", "replica1", "cache", "broker")} == {
        "primary": 1,
        "replica1": 1,
        "cache": 1,
        "broker": 1,
    }
    assert values["instafeed_queue_tasks", "media"] == 2
    assert values["instafeed_redis_used_bytes", "cache"] > 0
    assert values["instafeed_replica_lag_bytes", "replica1"] >= 0
    assert values["instafeed_worker_alive", "fan_out"] == 0
    assert values[("instafeed_beat_alive",)] == 0


def test_dead_services_do_not_fail_the_scrape(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setitem(connections["default"].settings_dict, "PORT", "1")
    values = scrape_metrics(client)
    assert {part: values["instafeed_up", part] for part in ("primary", "cache", "broker")} == {
        "primary": 0,
        "cache": 0,
        "broker": 0,
    }
    dead_prefixes = ("instafeed_queue", "instafeed_redis", "instafeed_fan_outs", "instafeed_worker_alive")
    assert not [key for key in values if key[0].startswith(dead_prefixes)]
    assert ("instafeed_deliveries_total",) in values, "counters are still there"


def test_hanging_probe_delays_the_scrape_up_to_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def hang() -> probes.Report:
        is_over.wait()
        return {"status": "ok"}

    scrape_metrics(client)
    monkeypatch.setattr(probes, "RESULT_TTL", 1_000)  # the other probes have their results
    monkeypatch.setitem(health.PROBES, "broker", probes.Probe(hang))
    monkeypatch.setattr(exporter, "PROBES_TIMEOUT", 0.1)
    try:
        values = scrape_metrics(client)
    finally:
        is_over.set()
    assert values["instafeed_up", "broker"] == 0
    assert values["instafeed_up", "cache"] == 1


def test_scrape_makes_no_query_in_the_request(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/metrics")
    with django_assert_num_queries(0):
        client.get("/metrics")


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_only_safe_methods_are_allowed(client: Client, method: str) -> None:
    assert getattr(client, method)("/metrics").status_code == 405


# --- Access -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.7.7", "172.18.0.4", "::ffff:10.0.0.1"])
def test_private_addresses_need_no_token(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450::1", "::ffff:8.8.8.8", "", "unix"])
def test_public_addresses_get_404(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "Via"])
def test_requests_proxied_get_404(client: Client, header: str) -> None:
    assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 404


def test_with_a_token_only_the_token_gives_access(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    for wrong in ("", TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"bearer {TOKEN}", f"Basic {TOKEN}", "Bearer \u00e9"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 404
    proxied = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "8.8.8.8"}
    assert client.get("/metrics", headers=proxied, REMOTE_ADDR="8.8.8.8").status_code == 200
