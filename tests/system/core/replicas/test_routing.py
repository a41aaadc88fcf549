"""Which server the router chooses for a query."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import pytest
import redis
from django.db import connections
from django.test import Client

from instafeed.core.cache import client as cache_client
from instafeed.core.db.replicas import session
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.db.replicas.router import ReplicaRouter
from instafeed.core.models import Invalidation
from tests.settings import REDIS_NUMBER
from tests.system.core.replicas.conftest import Site
from tests.system.core.replicas.notes_site import ran_on_standby

pytestmark = pytest.mark.usefixtures("patient")


def test_reads_outside_a_request_use_the_primary(site: Site) -> None:
    assert session.current_session() is None
    assert ran_on_standby() is False


def test_a_safe_request_reads_a_replica(site: Site) -> None:
    assert site.read()["standby"] is True
    assert site.read(user=1)["standby"] is True


def test_the_admin_reads_the_primary(site: Site) -> None:
    assert site.read(path="/admin/notes")["standby"] is False


def test_use_primary_reads_the_primary(site: Site) -> None:
    assert site.read(path="/guarded")["standby"] is False


def test_reads_inside_a_transaction_use_the_primary(site: Site) -> None:
    assert site.read(path="/in-transaction") == {"inside": False, "outside": True}


def test_an_instance_from_a_replica_is_saved_on_the_primary(site: Site) -> None:
    site.write("first")
    site.catch_up()
    assert site.read(path="/reads-then-writes") == {"before": True, "after": False}
    assert list(Invalidation.objects.values_list("keys", flat=True)) == [["changed"]]


def test_a_streamed_body_reads_the_primary(site: Site) -> None:
    response = site.client.get("/streamed")
    assert b"".join(response.streaming_content) == b"False"  # type: ignore[attr-defined]


def test_select_for_update_moves_the_request_to_the_primary(site: Site) -> None:
    session.begin_session(is_write=False)
    assert Invalidation.objects.all().db == "replica1"
    assert Invalidation.objects.select_for_update().db == "default"
    assert Invalidation.objects.all().db == "default"


def test_an_unsafe_request_reads_the_primary_from_the_start(site: Site) -> None:
    session.begin_session(is_write=True)
    assert Invalidation.objects.all().db == "default"


def test_identifying_the_user_discards_the_anonymous_choice(site: Site) -> None:
    state = session.begin_session(is_write=False)
    assert Invalidation.objects.all().db == "replica1"
    session.identify_user(1)
    assert state.choice is None


@pytest.mark.parametrize("path", ["/notes", "/admin/notes", "/nowhere"])
def test_no_session_outlives_its_request(site: Site, path: str) -> None:
    session.begin_session(is_write=True)
    assert site.client.get(path).status_code in (200, 404)
    assert session.current_session() is None


def test_no_session_outlives_a_request_that_fails(site: Site) -> None:
    client = Client(raise_request_exception=False)
    assert client.post("/notes", {"value": "x", "fail": "yes"}).status_code == 500
    assert session.current_session() is None


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_request_without_sql_asks_neither_redis_nor_a_replica(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def forbidden(*_: Any) -> None:
        raise AssertionError("must not be called")

    connections["default"].close()
    monkeypatch.setattr(cache_client, "get_redis_connection", forbidden)
    monkeypatch.setattr(monitor, "usable", forbidden)
    assert getattr(Client(enforce_csrf_checks=False), method)("/no-sql", headers={"X-User": "1"}).status_code < 500


def test_a_user_without_recent_writes_costs_one_redis_call(site: Site, redis_cache: redis.Redis) -> None:
    site.read(user=1)
    with redis_cache.monitor() as watched:
        site.read(user=1)
        redis_cache.echo("that is all")
        commands = list(takewhile(lambda command: "that is all" not in command["command"], watched.listen()))
    ours = [command["command"].split()[0] for command in commands if command["db"] == REDIS_NUMBER]
    # Other databases of the server belong to other test processes; the echo opened a connection.
    assert [name for name in ours if name not in {"HELLO", "CLIENT", "SELECT"}] == ["GET", "GET"], "in one round trip"


def test_old_pages_use_a_replica_only_if_it_provably_has_them(site: Site) -> None:
    assert site.read(path="/old-page?ago=120") == {"inside": True, "outside": True}
    assert site.read(path="/old-page?ago=30") == {"inside": False, "outside": True}


def test_reading_before_ends_with_its_block(site: Site) -> None:
    state = session.begin_session(is_write=False)
    outer, inner = datetime(2030, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    with session.reading_before(outer):
        with session.reading_before(inner):
            assert state.before == inner
        assert state.before == outer
    assert state.before is None


def test_only_the_primary_is_migrated() -> None:
    router = ReplicaRouter()
    assert router.allow_migrate("default", "posts") is True
    assert router.allow_migrate("replica1", "posts") is False
