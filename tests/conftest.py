"""Fixtures of the whole suite: an empty Redis before each test that uses data, and what several files ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from django.conf import settings

from instafeed.core.cache import client as breaker
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.jobs import enqueue
from instafeed.core.observability import exporter, health, probes
from tests import database_cleanup, prebuilt_data

database_cleanup.install()

_NEEDS_REDIS = {"db", "transactional_db", "live_server", "redis_cache", "redis_broker"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No second try (see the Makefile) for tests of races, which are those that call `at_once()`."""
    for item in items:
        if isinstance(item, pytest.Function) and "at_once" in item.function.__code__.co_names:
            item.add_marker(pytest.mark.flaky(reruns=0))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Each process' test database is a copy of one that was migrated once (settings.DATABASES, TEST)."""
    prebuilt_data.create_migrated_template()


@pytest.fixture(scope="session")
def _redis_servers() -> Iterator[tuple[redis.Redis, redis.Redis]]:
    with (
        redis.Redis.from_url(settings.REDIS_URL) as cache,
        redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker,
    ):
        yield cache, broker


@pytest.fixture
def redis_cache(_redis_servers: tuple[redis.Redis, redis.Redis]) -> redis.Redis:
    """This worker's own database of the cache server: empty at the start of the test."""
    return _redis_servers[0]


@pytest.fixture
def redis_broker(_redis_servers: tuple[redis.Redis, redis.Redis]) -> redis.Redis:
    """This worker's own database of the broker: one list per queue."""
    return _redis_servers[1]


@pytest.fixture(autouse=True)
def _empty_redis(request: pytest.FixtureRequest) -> None:
    """FLUSHDB, never FLUSHALL: the other workers' databases are on the same servers."""
    marked = request.node.get_closest_marker("django_db")
    if marked or _NEEDS_REDIS.intersection(request.fixturenames):
        for server in request.getfixturevalue("_redis_servers"):
            server.flushdb()
        # No test rests after the failures of the one before.
        breaker.reset_circuit_breaker()
        enqueue.reset_circuit_breaker()


@pytest.fixture(autouse=True)
def _replicas_only_where_named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads use a replica only in a test whose `databases` name one. Elsewhere Django forbids it, and it would
    be behind what the test has just committed."""
    marked = request.node.get_closest_marker("django_db")
    if not marked and not {"db", "transactional_db"}.intersection(request.fixturenames):
        return
    named = (marked.kwargs.get("databases") if marked else None) or ()
    if named != "__all__" and not set(settings.REPLICA_ALIASES).intersection(named):
        monkeypatch.setattr(monitor, "usable", list)


@pytest.fixture
def fresh_probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No result of an earlier test, no answer that is late on a busy machine, and threads that wait for what an
    earlier test broke in nobody's way."""
    for place in (health, exporter):
        monkeypatch.setattr(place, "PROBES_TIMEOUT", 30.0)
    for place in (health.PROBES, exporter._registered_probes):
        for name, probe in place.items():
            monkeypatch.setitem(place, name, probes.Probe(probe._check))
    probes._executor.cache_clear()
    yield
    probes._executor.cache_clear()
