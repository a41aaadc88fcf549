"""A failing replica does not fail requests and is soon excluded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import DataError, ProgrammingError, connections
from django.db.transaction import atomic
from pytest_django import Settings

from instafeed.core.db import timeout_connection
from instafeed.core.db.replicas import session, wal
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.models import Invalidation
from instafeed.core.monitoring import health
from tests.support.eventually import eventually
from tests.support.metric_values import MetricChange
from tests.system.core.replicas.conftest import Site


class Checks:
    """The monitor's checks of the replica."""

    def __init__(self) -> None:
        self.begun = self.ended = 0

    @property
    def running(self) -> int:
        """The number of the check that runs now; 0 if none does."""
        return self.begun if self.begun > self.ended else 0


@pytest.fixture
def checks(site: Site, monkeypatch: pytest.MonkeyPatch) -> Checks:
    checks = Checks()
    fetch_replica_status = wal.fetch_replica_status

    def counted(alias: str) -> wal.ReplicaStatus:
        checks.begun += 1
        try:
            return fetch_replica_status(alias)
        finally:
            checks.ended += 1

    monkeypatch.setattr(wal, "fetch_replica_status", counted)
    return checks


@contextmanager
def at_most_one_read_tries_the_replica() -> Iterator[None]:
    tried = MetricChange("instafeed_replica_choices_total", target="replica", reason="not_stuck")
    yield
    assert tried.by <= 1


def read_until_checked(site: Site, checks: Checks) -> None:
    """Read from the primary until the monitor has checked the replica several times."""
    until = checks.ended + 3

    def is_checked() -> bool:
        assert site.read(user=1)["standby"] is False
        return checks.ended >= until

    eventually(is_checked)


def read_during_a_check(site: Site, checks: Checks) -> None:
    """Read from the primary until a read begins and ends during one check: no read waits for it."""

    def is_during_a_check() -> bool:
        check = checks.running
        assert site.read(user=1)["standby"] is False
        return check != 0 and checks.running == check

    eventually(is_during_a_check)


def _terminate_connections(site: Site) -> None:
    """Terminate all connections of the site on the server, and wait for their ends."""
    site.ask_replica("SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE usename = 'instafeed'")


def test_reads_continue_while_the_replica_is_stopped_and_return_to_it(site: Site, checks: Checks, pooled: None) -> None:
    eventually(lambda: site.read(user=1)["standby"] is True)
    with site.stopped(), at_most_one_read_tries_the_replica():
        read_until_checked(site, checks)
    eventually(lambda: site.read(user=1)["standby"] is True)


def test_reads_continue_when_a_connection_is_terminated(site: Site, pooled: None) -> None:
    eventually(lambda: site.read()["standby"] is True)
    _terminate_connections(site)
    assert site.read()["values"] == []  # from the primary, or from the replica over a new pool connection

    def is_used_again() -> bool:
        monitor.check_now()  # its own connection may have been terminated, too
        return site.read()["standby"] is True

    eventually(is_used_again)


def test_a_frozen_replica_delays_one_read_and_is_then_excluded(site: Site, checks: Checks, pooled: None) -> None:
    eventually(lambda: site.read(user=1)["standby"] is True)
    with site.frozen(), at_most_one_read_tries_the_replica():
        read_until_checked(site, checks)
        read_during_a_check(site, checks)
    eventually(lambda: site.read(user=1)["standby"] is True)


def test_a_new_connection_to_a_frozen_replica_times_out(site: Site) -> None:
    connections["replica1"].close()
    with site.frozen():
        assert site.read(user=1)["standby"] is False


def test_a_slow_query_is_repeated_on_the_primary_and_the_replica_stays_in_use(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server cancels the query, so the connection stays usable."""
    settings.REPLICA_STATEMENT_TIMEOUT = 1
    monkeypatch.setattr(timeout_connection, "CANCEL_GRACE", 60)
    connections["replica1"].close()
    with connections["replica1"].cursor() as cursor:
        cursor.execute("SELECT CASE WHEN pg_is_in_recovery() THEN pg_sleep(60)::text ELSE 'primary' END")
        assert cursor.fetchone() == ("primary",)
    assert not monitor.is_down("replica1")
    assert connections["replica1"].connection is not None


def test_a_query_cancelled_by_recovery_is_repeated_on_the_primary(site: Site, settings: Settings) -> None:
    """The replica cancels a query that keeps it from replaying an exclusive lock for 5 s."""
    settings.REPLICA_STATEMENT_TIMEOUT = 90
    connections["replica1"].close()
    site.write("one row")
    site.catch_up()
    state = session.begin_session(is_write=False)
    running = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    def lock_exclusively() -> None:
        eventually(lambda: site.ask_replica(running))
        with site.services.primary.connect(site.services.primary.url()) as connection:
            connection.execute("ALTER TABLE core_invalidation ADD note int")
            connection.execute("ALTER TABLE core_invalidation DROP note")

    with ThreadPoolExecutor(1) as pool, connections["replica1"].cursor() as cursor:
        locked = pool.submit(lock_exclusively)
        cursor.execute(
            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_sleep(60)::text ELSE 'primary' END FROM core_invalidation"
        )
        assert cursor.fetchone() == ("primary",)
        locked.result()
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


def health_states(site: Site) -> tuple[int, dict[str, str]]:
    """Return the HTTP status of /health and the status of each service."""
    response = site.client.get("/health")
    return response.status_code, {name: report["status"] for name, report in response.json()["checks"].items()}


@pytest.fixture
def short_probes(fresh_probes: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Wait a moment for a part that is frozen."""
    monkeypatch.setattr(health, "PROBES_TIMEOUT", 5.0)
    monkeypatch.setattr(health, "REDIS_TIMEOUT", 3.0)
    monkeypatch.setattr(timeout_connection, "CONNECT_TIMEOUT", 2)
    settings.REPLICA_STATEMENT_TIMEOUT = 1


@pytest.mark.usefixtures("short_probes")
def test_health_responds_while_the_primary_is_frozen(site: Site) -> None:
    site.services.primary.pause()
    try:
        status, states = health_states(site)
        assert (status, states["database"]) == (503, "down")
        eventually(lambda: health_states(site)[1]["cache"] == "ok")
        assert site.client.get("/health/ready").status_code == 503
        assert site.client.get("/health/live").status_code == 200
    finally:
        site.services.primary.resume()


@pytest.mark.usefixtures("short_probes")
def test_health_responds_while_redis_is_frozen(site: Site, settings: Settings) -> None:
    settings.REDIS_URL = site.services.cache.url
    settings.CELERY_BROKER_URL = site.services.broker.url
    site.services.cache.pause()
    site.services.broker.pause()
    states = {"database": "ok", "replica": "ok", "cache": "down", "broker": "down", "workers": "down"}
    try:
        eventually(lambda: health_states(site) == (200, states))
    finally:
        site.services.cache.resume()
        site.services.broker.resume()


@pytest.mark.usefixtures("patient")
def test_health_reports_a_lagging_replica_until_it_has_caught_up(site: Site, settings: Settings) -> None:
    settings.REPLICA_MAX_LAG = 1
    site.write("seen")  # a replica that was just restarted knows no time of a transaction
    site.catch_up()
    with site.replay_paused():
        site.write("unseen")
        eventually(lambda: health.probe_replica()["status"] == "lagging")
        report = health.probe_replica()
        assert report["lag_seconds"] > 1
        assert report["lag_bytes"] > 0
    site.catch_up()
    eventually(lambda: health.probe_replica()["status"] == "ok")


@pytest.mark.usefixtures("patient")
def test_the_first_write_after_idle_time_is_not_lag(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica's newest transaction is old, but it receives the write before the second measurement."""
    settings.REPLICA_MAX_LAG = 1
    monkeypatch.setattr(health, "RECHECK_DELAY", 0)
    query_row = health.query_row
    measured: list[tuple[Any, ...]] = []

    def measure(alias: str, query: str) -> tuple[Any, ...]:
        if measured:
            replay.close()
            site.catch_up()
        measured.append(query_row(alias, query))
        return measured[-1]

    monkeypatch.setattr(health, "query_row", measure)
    site.write("last")
    site.catch_up()
    with ExitStack() as replay:
        replay.enter_context(site.replay_paused())
        site.wait_until_replayed_transaction_is_older_than(2)  # no other one can follow it now
        site.write("new")
        report = health.probe_replica()
    assert len(measured) == 2
    assert (report["status"], report["lag_bytes"], report["lag_seconds"]) == ("ok", 0, 0)
