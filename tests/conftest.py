"""Fixtures of the whole suite: Redis is emptied before each test that uses data; replicas are used only on request."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from hypothesis import HealthCheck
from hypothesis import settings as examples
from pytest_django import Settings

from instafeed.core.cache import client as cache_client
from instafeed.core.db import timeout_connection
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.jobs import enqueue
from instafeed.core.monitoring import exporter, health, probes
from tests.support import database_cleanup, prebuilt_data
from tests.support.eventually import eventually

database_cleanup.install()

# A machine that stands still for a moment makes an example slow, or its generation.
examples.register_profile("patient", examples(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("patient")

_NEEDS_REDIS = {"db", "transactional_db", "live_server", "redis_cache", "redis_broker"}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Migrate a template database once; each test process copies it (settings.DATABASES, TEST)."""
    prebuilt_data.create_migrated_template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """Wait until the replicas have replayed the creation of the test database."""
    for alias in django_settings.REPLICA_ALIASES:
        eventually(partial(_answers, alias))


def _answers(alias: str) -> bool:
    try:
        return timeout_connection.query_row(alias, "SELECT true") == (True,)
    except psycopg.OperationalError:
        return False


@pytest.fixture(scope="session")
def _redis_servers() -> Iterator[tuple[redis.Redis, redis.Redis]]:
    with (
        redis.Redis.from_url(django_settings.REDIS_URL) as cache,
        redis.Redis.from_url(django_settings.CELERY_BROKER_URL) as broker,
    ):
        yield cache, broker


@pytest.fixture
def redis_cache(_redis_servers: tuple[redis.Redis, redis.Redis]) -> redis.Redis:
    """This process' own database of the cache server, empty at the start of the test."""
    return _redis_servers[0]


@pytest.fixture
def redis_broker(_redis_servers: tuple[redis.Redis, redis.Redis]) -> redis.Redis:
    """This process' own database of the broker: one list per queue."""
    return _redis_servers[1]


@pytest.fixture(autouse=True)
def _empty_redis(request: pytest.FixtureRequest) -> None:
    """Use FLUSHDB, not FLUSHALL: other test processes have their databases on the same servers."""
    marked = request.node.get_closest_marker("django_db")
    if marked or _NEEDS_REDIS.intersection(request.fixturenames):
        for server in request.getfixturevalue("_redis_servers"):
            server.flushdb()
        # A failure in an earlier test must not keep this one from using Redis.
        cache_client.breaker.reset()
        enqueue.breaker.reset()


@pytest.fixture(autouse=True)
def _replicas_only_where_named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from a replica only in tests whose `databases` name one.

    In other tests Django forbids it, and the replica would lag behind the test's own commits.
    """
    marked = request.node.get_closest_marker("django_db")
    if not marked and not {"db", "transactional_db"}.intersection(request.fixturenames):
        return
    named = (marked.kwargs.get("databases") if marked else None) or ()
    if named != "__all__" and not set(django_settings.REPLICA_ALIASES).intersection(named):
        monkeypatch.setattr(monitor, "usable", list)


@pytest.fixture
def fresh_probes(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    """Forget the results and the hanging threads of earlier tests, and wait longer for probes than in production."""
    for module in (health, exporter):
        monkeypatch.setattr(module, "PROBES_TIMEOUT", 60.0)
    monkeypatch.setattr(health, "REDIS_TIMEOUT", 60.0)
    monkeypatch.setattr(timeout_connection, "CONNECT_TIMEOUT", 60)
    settings.REPLICA_STATEMENT_TIMEOUT = 60
    _forget_probes()
    yield
    _forget_probes()


def _forget_probes() -> None:
    probes.reset()
    health.redis_client.cache_clear()
