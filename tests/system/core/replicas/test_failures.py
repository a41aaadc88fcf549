"""A failing replica does not fail requests and is soon excluded."""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any

import pytest
from django.db import DataError, ProgrammingError, connections
from django.db.transaction import atomic

from instafeed.core.db.replicas import session
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.models import Invalidation
from instafeed.core.monitoring import health, probes
from tests.support.eventually import eventually
from tests.system.core.replicas.conftest import Site

MAX_STALLS = 1  # slow reads allowed for a busy machine


def _timed_read(site: Site) -> tuple[bool, float]:
    began = time.monotonic()
    standby = site.read(user=1)["standby"]
    return standby, time.monotonic() - began


def _terminate_connections(site: Site) -> None:
    """Terminate all connections of the site on the server."""
    site.ask_replica("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'instafeed'")


def test_reads_continue_while_the_replica_is_stopped_and_return_to_it(site: Site, pooled: None) -> None:
    assert site.read()["standby"] is True
    with site.stopped():
        standby, took = _timed_read(site)
        assert standby is False
        assert took < 5  # a pool waits a second
        reads = []
        for _ in range(100):
            standby, took = _timed_read(site)
            assert standby is False
            reads.append(took)
            time.sleep(0.03)
        assert median(reads) < 0.5
        assert sum(took > 1.5 for took in reads) <= MAX_STALLS
    eventually(lambda: site.read()["standby"] is True)


def test_reads_continue_when_a_connection_is_terminated(site: Site, pooled: None) -> None:
    assert site.read()["standby"] is True
    _terminate_connections(site)
    assert site.read()["values"] == []  # from the primary, or from the replica over a new pool connection
    monitor.check_now()
    assert site.read()["standby"] is True


def test_a_frozen_replica_delays_one_read_and_is_then_excluded(site: Site, pooled: None) -> None:
    assert site.read(user=1)["standby"] is True
    with site.frozen():
        standby, took = _timed_read(site)
        assert standby is False
        assert took < 10  # two seconds, plus the delays of a busy machine
        # Long enough for background checks of the frozen server, which must not delay any request.
        deadline = time.monotonic() + 5
        reads = []
        while time.monotonic() < deadline:
            standby, took = _timed_read(site)
            assert standby is False
            reads.append(took)
            time.sleep(0.02)
        assert median(reads) < 0.5
        # A read that waits for the frozen server takes two seconds.
        assert sum(took > 1.9 for took in reads) <= MAX_STALLS
    eventually(lambda: site.read()["standby"] is True)


def test_a_new_connection_to_a_frozen_replica_times_out(site: Site) -> None:
    connections["replica1"].close()
    with site.frozen():
        standby, took = _timed_read(site)
        assert standby is False
        assert took < 10  # two seconds, plus the delays of a busy machine


def test_a_slow_query_is_repeated_on_the_primary_and_the_replica_stays_in_use(site: Site, settings: Any) -> None:
    settings.REPLICA_STATEMENT_TIMEOUT = 1
    connections["replica1"].close()
    with connections["replica1"].cursor() as cursor:
        cursor.execute("SELECT CASE WHEN pg_is_in_recovery() THEN pg_sleep(3)::text ELSE 'primary' END")
        assert cursor.fetchone() == ("primary",)
    assert not monitor.is_down("replica1")
    assert connections["replica1"].connection is not None


def test_a_query_cancelled_by_recovery_is_repeated_on_the_primary(site: Site, settings: Any) -> None:
    """The replica cancels a query that keeps it from replaying an exclusive lock for 5 s."""
    settings.REPLICA_STATEMENT_TIMEOUT = 20
    connections["replica1"].close()
    site.write("one row")
    site.catch_up()
    state = session.begin_session(is_write=False)

    def lock_exclusively() -> None:
        with site.services.primary.connect(site.services.primary.url()) as connection:
            connection.execute("ALTER TABLE core_invalidation ADD note int")
            connection.execute("ALTER TABLE core_invalidation DROP note")

    threading.Timer(0.3, lock_exclusively).start()
    began = time.monotonic()
    with connections["replica1"].cursor() as cursor:
        cursor.execute(
            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_sleep(15)::text ELSE 'primary' END FROM core_invalidation"
        )
        assert cursor.fetchone() == ("primary",)
    assert time.monotonic() - began < 12
    assert state.on_primary
    assert not monitor.is_down("replica1")


def test_sql_errors_are_raised(site: Site) -> None:
    with connections["replica1"].cursor() as cursor, pytest.raises(DataError):
        cursor.execute("SELECT 1/0")
    with connections["replica1"].cursor() as cursor, pytest.raises(ProgrammingError):
        cursor.execute("SELECT nowhere FROM nothing")
    assert not monitor.is_down("replica1")


def test_a_replica_connection_cannot_write(site: Site) -> None:
    with connections["replica1"].cursor() as cursor:
        cursor.execute("SHOW default_transaction_read_only")
        assert cursor.fetchone() == ("on",)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("2s",)


def test_a_table_missing_on_the_replica_is_read_from_the_primary(site: Site) -> None:
    """A migration that the replica has not replayed."""
    with site.replay_paused():
        with connections["default"].cursor() as cursor:
            cursor.execute("CREATE TABLE brand_new AS SELECT 1 AS n")
        with connections["replica1"].cursor() as cursor:
            cursor.execute("SELECT n FROM brand_new")
            assert cursor.fetchall() == [(1,)]
    with connections["default"].cursor() as cursor:
        cursor.execute("DROP TABLE brand_new")


def test_errors_inside_a_transaction_on_the_replica_are_raised(site: Site) -> None:
    with pytest.raises(Exception, match=r"terminating|closed|lost"), atomic(using="replica1"):  # noqa: PT012
        list(Invalidation.objects.using("replica1"))
        _terminate_connections(site)
        list(Invalidation.objects.using("replica1"))


def test_an_iterator_survives_a_terminated_connection(site: Site) -> None:
    Invalidation.objects.bulk_create(Invalidation(keys=[str(n)]) for n in range(300))
    site.catch_up()
    rows = Invalidation.objects.using("replica1").order_by("pk").iterator(chunk_size=50)
    next(rows)
    _terminate_connections(site)
    assert len(list(rows)) == 299


def test_a_request_that_fell_back_stays_on_the_primary(site: Site) -> None:
    state = session.begin_session(is_write=False)
    query = Invalidation.objects.all()
    list(query)
    assert state.choice == "replica1"
    _terminate_connections(site)
    list(query.all())
    assert state.on_primary
    assert Invalidation.objects.all().db == "default"


def test_health_responds_while_the_primary_is_frozen(site: Site, health_probes: None) -> None:
    site.services.primary.pause()
    try:
        began = time.monotonic()
        response = site.client.get("/health")
        took = time.monotonic() - began
        assert response.status_code == 503
        assert response.json()["checks"]["database"]["status"] == "down"
        assert response.json()["checks"]["cache"]["status"] == "ok"
        assert took < 10
        assert site.client.get("/health/ready").status_code == 503
        assert site.client.get("/health/live").status_code == 200
    finally:
        site.services.primary.resume()


def test_health_responds_while_redis_is_frozen(site: Site, health_probes: None, settings: Any) -> None:
    settings.REDIS_URL = site.services.cache.url
    settings.CELERY_BROKER_URL = site.services.broker.url
    site.services.cache.pause()
    site.services.broker.pause()
    try:
        began = time.monotonic()
        response = site.client.get("/health")
        assert time.monotonic() - began < 10
    finally:
        site.services.cache.resume()
        site.services.broker.resume()
    assert response.status_code == 200
    states = {name: report["status"] for name, report in response.json()["checks"].items()}
    assert states == {"database": "ok", "replica": "ok", "cache": "down", "broker": "down", "workers": "down"}


@pytest.fixture
def health_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use new probes without results of earlier tests."""
    new = {name: probes.Probe(probe._check) for name, probe in health.PROBES.items()}
    monkeypatch.setattr(health, "PROBES", new)
    probes._executor.cache_clear()


def test_health_reports_a_lagging_replica_until_it_has_caught_up(
    site: Site, health_probes: None, settings: Any
) -> None:
    settings.REPLICA_MAX_LAG = 2
    with site.replay_paused():
        site.write("unseen")
        time.sleep(2.5)
        site.write("unseen, too")
        report = health.probe_replica()
        assert report["status"] == "lagging"
        assert report["lag_seconds"] > 2
        assert report["lag_bytes"] > 0
    site.catch_up()
    assert health.probe_replica()["status"] == "ok"


def test_the_first_write_after_idle_time_is_not_lag(
    site: Site, health_probes: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica's newest transaction is old, but it will receive the write within a moment."""
    settings.REPLICA_MAX_LAG = 2
    monkeypatch.setattr(health, "RECHECK_DELAY", 3.0)  # the machine may be busy
    site.catch_up()
    time.sleep(2.5)
    sample = health.wal.sample_primary()
    ahead = type(sample)(sample.position + 100, sample.moment, sample.taken_at)
    monkeypatch.setattr(health.wal, "sample_primary", lambda: site.write("new") or ahead)
    report = health.probe_replica()
    assert (report["status"], report["lag_bytes"]) == ("ok", 0)
    assert report["lag_seconds"] == 0
