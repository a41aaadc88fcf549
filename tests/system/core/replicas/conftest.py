"""A site on the system's data services, whose replica tests pause, freeze and stop. No other program uses them then.

The site has one table (`Invalidation`) and the views of `tests.system.core.replicas.notes_site`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client
from pytest_django import DjangoDbBlocker, Settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from instafeed.core import env
from instafeed.core.cache import client as cache_client
from instafeed.core.db import timeout_connection
from instafeed.core.db.replicas import read_your_writes, session, wal
from instafeed.core.db.replicas.monitor import ReplicaMonitor, monitor
from instafeed.core.models import Invalidation
from instafeed.devstack.data_services import DataServices
from tests.support.eventually import eventually

Outage = Callable[[], AbstractContextManager[None]]
FIRST_READER = 99  # of no test
_CONNECTION_SETTINGS = ("HOST", "PORT", "USER", "PASSWORD", "NAME")


@contextmanager
def _databases_of(services: DataServices) -> Iterator[None]:
    """Point Django's two database aliases to these services."""
    urls = {"default": services.primary.url(), "replica1": services.replica.url()}
    before = {alias: dict(connections[alias].settings_dict) for alias in urls}
    try:
        for alias, url in urls.items():
            connections[alias].close()
            parts = env.postgres_database("URL", url)
            connections[alias].settings_dict.update({name: parts[name] for name in _CONNECTION_SETTINGS})
        yield
    finally:
        for alias in urls:
            connections[alias].close()
            connections[alias].settings_dict.update(before[alias])
    assert {alias: connections[alias].settings_dict for alias in urls} == before


class Site:
    """Requests to the site, and control over its servers."""

    def __init__(self, services: DataServices) -> None:
        self.services = services
        self.replica = services.replica
        self.client = Client()

    def write(self, value: str, user: int | None = None, **extra: str) -> None:
        response = self.client.post("/notes", {"value": value, **extra}, headers=_headers(user))
        assert response.status_code == 201, response.content

    def read(self, user: int | None = None, path: str = "/notes") -> dict[str, Any]:
        """Return `values` and whether a `standby` served the request."""
        response = self.client.get(path, headers=_headers(user))
        assert response.status_code == 200, response.content
        if "pool" in connections["replica1"].settings_dict["OPTIONS"]:
            connections["replica1"].close()  # back to the pool, as at the end of a request
        return response.json()

    def ask_replica(self, query: str) -> Any:
        """Run a query on the replica as superuser, without Django."""
        with self.replica.connect() as connection:
            row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None

    @contextmanager
    def replay_paused(self) -> Iterator[None]:
        self.ask_replica("SELECT pg_wal_replay_pause()")
        eventually(lambda: self.ask_replica("SELECT pg_get_wal_replay_pause_state()") == "paused")
        try:
            yield
        finally:
            self.ask_replica("SELECT pg_wal_replay_resume()")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.replica.pause()
        try:
            yield
        finally:
            self.replica.resume()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.replica.stop()
        try:
            yield
        finally:
            self.replica.start()
            connections["replica1"].close()  # as at the end of a request; the test client leaves it open

    def wait_until_idle_for(self, seconds: float) -> None:
        """Write, and wait until the replica's last replayed transaction is that old. After a restart it knows none."""
        self.write("last")
        self.catch_up()
        self.wait_until_replayed_transaction_is_older_than(seconds)

    def wait_until_replayed_transaction_is_older_than(self, seconds: float) -> None:
        query = f"SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > interval '{seconds} s'"
        eventually(lambda: self.ask_replica(query))

    def catch_up(self) -> None:
        """Wait until the replica has replayed everything and this process knows it."""
        target = wal.sample_primary().lsn
        query = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"
        eventually(lambda: self.ask_replica(query) >= target)

        def is_usable() -> bool:
            """The check samples the primary again, which may be ahead of the replica once more."""
            monitor.check_now()
            return bool(monitor.usable())

        eventually(is_usable)


def _headers(user: int | None) -> dict[str, str]:
    return {} if user is None else {"X-User": str(user)}


def _forget() -> None:
    """Forget what this process knows about replicas and Redis."""
    monitor.wait_until_idle()
    monitor.reset()
    cache_client.breaker.reset()
    read_your_writes.reset()


@pytest.fixture
def site(
    data_services: DataServices, django_db_blocker: DjangoDbBlocker, redis_cache: redis.Redis, settings: Settings
) -> Iterator[Site]:
    settings.ROOT_URLCONF = "tests.system.core.replicas.notes_site"
    assert django_settings.REPLICA_ALIASES == ["replica1"]
    with django_db_blocker.unblock(), _databases_of(data_services):
        Invalidation.objects.all().delete()  # a like of an earlier test leaves one
        session.end_session()
        _forget()
        site = Site(data_services)
        site.catch_up()
        site.read(FIRST_READER)  # sets the floor to the primary's position, which autovacuum may have moved
        connections["replica1"].close()  # as at the end of a request
        site.catch_up()
        yield site
        session.end_session()
        Invalidation.objects.all().delete()
        _forget()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Wait longer for a replica that works: on a busy machine it may need more than the usual two seconds."""
    monkeypatch.setattr(timeout_connection, "CONNECT_TIMEOUT", 60)
    settings.REPLICA_STATEMENT_TIMEOUT = 60


@pytest.fixture(params=["plain", "pool"])
def pooled(request: pytest.FixtureRequest, site: Site) -> Iterator[None]:
    """Run the test with a connection per request, then with psycopg's pool for the replica."""
    if request.param == "plain":
        yield
        return
    options = connections["replica1"].settings_dict["OPTIONS"]
    options["pool"] = {"min_size": 0, "max_size": 4, "timeout": 1, "reconnect_timeout": 2}
    connections["replica1"].settings_dict["CONN_HEALTH_CHECKS"] = True
    connections["replica1"].close()
    del connections["replica1"]
    try:
        yield
    finally:
        connections["replica1"].close()
        connections["replica1"].close_pool()  # type: ignore[attr-defined]
        del options["pool"]
        connections["replica1"].settings_dict["CONN_HEALTH_CHECKS"] = False
        del connections["replica1"]


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """Return a context manager inside which Redis refuses connections."""

    @contextmanager
    def outage() -> Iterator[None]:
        dead = redis.Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
        with monkeypatch.context() as patch:
            patch.setattr(cache_client, "get_redis_connection", lambda alias: dead)
            yield
        cache_client.breaker.reset()

    return outage


@pytest.fixture
def fresh_monitor() -> ReplicaMonitor:
    return ReplicaMonitor()
