"""Writers read their own writes while the replica lags; other users keep reading the replica."""

from __future__ import annotations

import psycopg
import pytest
import redis
from pytest_django import Settings

from instafeed.core.cache import keys
from instafeed.core.db.replicas import read_your_writes, wal
from instafeed.core.db.replicas.monitor import monitor
from tests.support.eventually import eventually
from tests.system.core.replicas.conftest import Outage, Site

pytestmark = pytest.mark.usefixtures("patient")

WRITER, OTHER = 1, 2


def test_a_writer_reads_its_write_while_others_read_the_lagging_replica(site: Site) -> None:
    with site.replay_paused():
        site.write("new", WRITER)
        assert site.read(WRITER) == {"values": ["new"], "standby": False}
        assert site.read(OTHER) == {"values": [], "standby": True}
        assert site.read() == {"values": [], "standby": True}
    site.catch_up()
    assert site.read(WRITER) == {"values": ["new"], "standby": True}


def test_a_write_by_raw_sql_counts(site: Site) -> None:
    with site.replay_paused():
        site.write("new", WRITER, raw="yes")
        assert site.read(WRITER)["values"] == ["new"]


def test_a_registered_user_reads_what_registration_wrote(site: Site) -> None:
    with site.replay_paused():
        site.write("new", new_user=str(WRITER))
        assert site.read(WRITER)["values"] == ["new"]
        assert site.read(OTHER)["values"] == []


def test_a_request_that_fails_after_its_commit_counts(site: Site) -> None:
    site.client.raise_request_exception = False
    with site.replay_paused():
        response = site.client.post("/notes", {"value": "new", "fail": "yes"}, headers={"X-User": "1"})
        assert response.status_code == 500
        assert site.read(WRITER)["values"] == ["new"]


def test_a_get_that_writes_counts(site: Site) -> None:
    site.write("first")
    site.catch_up()
    with site.replay_paused():
        assert site.read(WRITER, "/reads-then-writes") == {"before": True, "after": False}
        assert site.read(WRITER)["values"] == ["changed"]
        assert site.read(OTHER)["values"] == ["first"]


def test_the_position_outlives_the_maximum_lag(site: Site, redis_cache: redis.Redis, settings: Settings) -> None:
    settings.REPLICA_MAX_LAG = 100
    site.write("new", WRITER)
    assert redis_cache.ttl(keys.wal_position(WRITER)) > settings.REPLICA_MAX_LAG
    settings.REPLICA_MAX_LAG = 5
    site.write("new", OTHER)
    shortest = settings.REPLICA_MAX_LAG + read_your_writes.TTL_MARGIN
    assert shortest < redis_cache.ttl(keys.wal_position(OTHER)) <= keys.WAL_POSITION_TTL


def test_the_position_is_deleted_once_the_replica_has_passed_it(site: Site, redis_cache: redis.Redis) -> None:
    site.write("new", WRITER)
    site.catch_up()
    assert redis_cache.exists(keys.wal_position(WRITER))
    assert site.read(WRITER)["standby"] is True
    assert not redis_cache.exists(keys.wal_position(WRITER))


def test_the_position_is_kept_until_both_replicas_have_passed_it(
    site: Site, redis_cache: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in GitLab's first bug: the other replica may serve the next request."""
    site.write("new", WRITER)
    position = int(redis_cache.get(keys.wal_position(WRITER)))  # type: ignore[arg-type]
    site.catch_up()
    settings.REPLICA_ALIASES = ["replica1", "replica2"]
    replayed = {"replica1": position, "replica2": position - 1}
    monkeypatch.setattr(read_your_writes.wal, "replayed_lsn", replayed.get)
    monkeypatch.setattr(monitor, "replayed_position", lambda _, lsn: lsn)
    monkeypatch.setattr(monitor, "usable", lambda: ["replica2", "replica1"])

    assert site.read(WRITER)["standby"] is True
    assert redis_cache.exists(keys.wal_position(WRITER))

    monkeypatch.setattr(monitor, "usable", lambda: ["replica1"])  # the other one is down, and may come back
    assert site.read(WRITER)["standby"] is True
    assert redis_cache.exists(keys.wal_position(WRITER))

    replayed["replica2"] = position
    monkeypatch.setattr(monitor, "usable", lambda: ["replica1", "replica2"])
    assert site.read(WRITER)["standby"] is True
    assert not redis_cache.exists(keys.wal_position(WRITER))


def test_a_newer_position_is_not_deleted(site: Site, redis_cache: redis.Redis) -> None:
    """As in GitLab's second bug: a write may come between the comparison and the deletion."""
    read_your_writes.store_position([WRITER], 2**62)
    read_your_writes.forget_position(WRITER, 2**62 - 1)
    assert int(redis_cache.get(keys.wal_position(WRITER))) == 2**62  # type: ignore[arg-type]
    read_your_writes.forget_position(WRITER, 2**62)
    assert not redis_cache.exists(keys.wal_position(WRITER))


@pytest.mark.parametrize(
    ("first", "second"),
    [(9, 10), (2**53, 2**53 + 1), (2**62, 2**62 + 1), (0xFFFFFFFF, 0x100000000)],
    ids=["more digits", "beyond a double", "63 bits", "next log"],
)
def test_the_greater_position_is_kept(site: Site, redis_cache: redis.Redis, first: int, second: int) -> None:
    for order in ([first, second], [second, first]):
        redis_cache.delete(keys.wal_position(WRITER))
        for position in order:
            read_your_writes.store_position([WRITER], position)
        assert int(redis_cache.get(keys.wal_position(WRITER))) == second  # type: ignore[arg-type]


def test_the_floor_covers_positions_lost_in_a_flush(site: Site, redis_cache: redis.Redis) -> None:
    """After a flush the replica must first pass the primary's current position."""
    with site.replay_paused():
        site.write("new", WRITER)
        redis_cache.flushdb()
        assert site.read(WRITER)["values"] == ["new"]
        assert site.read(OTHER)["values"] == ["new"]
    site.catch_up()
    assert site.read(WRITER) == {"values": ["new"], "standby": True}


def test_signed_in_users_read_the_primary_during_a_redis_outage(site: Site, no_redis: Outage) -> None:
    with no_redis():
        assert site.read(WRITER)["standby"] is False
        assert site.read()["standby"] is True


def test_a_position_that_could_not_be_stored_is_covered_after_the_outage(site: Site, no_redis: Outage) -> None:
    with site.replay_paused():
        with no_redis():
            site.write("new", WRITER)
        assert site.read(WRITER)["values"] == ["new"]
    site.catch_up()
    assert site.read(WRITER)["standby"] is True


def test_an_insert_position_is_never_before_an_unflushed_commit(site: Site) -> None:
    """With synchronous_commit=off the write position is before the commit's record right after the commit."""
    with site.services.primary.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS scratch (n int)")
        connection.execute("SET synchronous_commit = off")
        for _ in range(50):
            connection.execute("INSERT INTO scratch VALUES (1)")
            committed = _insert_position(connection)
            assert wal.sample_primary().lsn >= committed - HEADER


def test_a_replica_catches_up_with_an_idle_primary_at_any_log_position(site: Site) -> None:
    """At the end of a page the insert position is already behind the next page's header."""
    with site.services.primary.connect() as connection:

        def is_equal_at_the_end_of_a_page() -> bool:
            """Return False if the server wrote a record of its own meanwhile."""
            if not _end_log_at_a_page(connection):
                return False
            site.catch_up()
            lsn = wal.replayed_lsn("replica1")
            assert lsn is not None
            positions = monitor.replayed_position("replica1", lsn), wal.primary_position()
            if _insert_position(connection) % PAGE != HEADER:
                return False
            assert positions[0] == positions[1]
            return True

        eventually(is_equal_at_the_end_of_a_page)


PAGE, HEADER = 8192, 24


def _insert_position(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


def _end_log_at_a_page(connection: psycopg.Connection) -> bool:
    """Fill the log's current page with one record; return whether that worked (no other writes meanwhile)."""

    def emit(size: int) -> int:
        before = _insert_position(connection)
        connection.execute("SELECT pg_logical_emit_message(false, 'fill', %s)", ["x" * size])
        return _insert_position(connection) - before

    overhead = emit(800) - 800
    space = PAGE - _insert_position(connection) % PAGE
    if overhead >= 64 + HEADER or space <= overhead + 300:  # that record crossed into this page; little room
        return False
    emit(space - overhead)
    return _insert_position(connection) % PAGE == HEADER
