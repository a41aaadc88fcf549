"""Two replicas share the reads. A user who has written reads from one that has replayed the write, or the primary."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections
from pytest_django import Settings

from instafeed.core.db.replicas import monitor as monitor_module
from instafeed.core.db.replicas import wal
from instafeed.core.db.replicas.monitor import monitor
from instafeed.devstack.postgres import Replica
from tests.support.eventually import eventually
from tests.system.core.replicas.conftest import Site

pytestmark = pytest.mark.usefixtures("patient")

WRITER, OTHER = 1, 2
READS = 30  # both replicas are chosen among so many, except once in 500 million times


@pytest.fixture
def second(site: Site, settings: Settings) -> Iterator[Replica]:
    """A second replica, which the site reads too."""
    replica = Replica(site.services.primary, number=2)
    site.services.track(replica)
    replica.start()
    first = connections["replica1"].settings_dict
    connections.settings["replica2"] = first | {"PORT": str(replica.port)}
    settings.REPLICA_ALIASES = ["replica1", "replica2"]
    try:
        catch_up(site)
        yield replica
    finally:
        monitor.wait_until_idle()
        connections["replica2"].close()
        del connections["replica2"], connections.settings["replica2"]
        replica.stop()
        site.services.primary.drop_slot(replica.name)
        shutil.rmtree(replica.data)


def catch_up(site: Site) -> None:
    """Wait until this process knows that both replicas have replayed everything."""
    position = wal.primary_position()
    for alias in ("replica1", "replica2"):
        wait_until_replayed(alias, position)


def wait_until_replayed(alias: str, position: int) -> None:
    """Wait until this process knows that the replica has replayed a position."""

    def has_replayed() -> bool:
        monitor.check_now()
        return monitor.has_replayed(alias, position)

    eventually(has_replayed)


@contextmanager
def lagging(replica: Replica) -> Iterator[None]:
    with replica.connect() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        eventually(lambda: connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() == ("paused",))
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def ports_read(site: Site, user: int | None, values: list[str] | None = None) -> set[int]:
    """Read many times and return the ports of the servers that answered. Check what they answered with, if given."""
    replies = [site.read(user, "/server") for _ in range(READS)]
    if values is not None:
        assert all(reply["values"] == values for reply in replies)
    return {reply["port"] for reply in replies}


def test_reads_are_spread_over_both(site: Site, second: Replica) -> None:
    both = {site.replica.port, second.port}
    assert ports_read(site, None) == both
    assert ports_read(site, OTHER) == both


def test_both_prove_the_position_of_a_write(site: Site, second: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "MAX_TRANSACTION_AGE", timedelta(0))
    site.write("new", WRITER)
    written_at = wal.sample_primary().moment
    catch_up(site)
    assert ports_read(site, WRITER, ["new"]) == {site.replica.port, second.port}

    def have_both_proved() -> bool:
        monitor.check_now()
        return all(monitor.holds_all_before(alias, written_at) for alias in ("replica1", "replica2"))

    eventually(have_both_proved)


def test_a_writer_reads_only_from_the_replica_that_has_replayed_the_write(site: Site, second: Replica) -> None:
    with lagging(second):
        site.write("new", WRITER)
        position = wal.primary_position()
        wait_until_replayed("replica1", position)
        assert not monitor.has_replayed("replica2", position)
        assert ports_read(site, WRITER, ["new"]) == {site.replica.port}
        assert ports_read(site, OTHER) == {site.replica.port, second.port}
    catch_up(site)
    assert ports_read(site, WRITER, ["new"]) == {site.replica.port, second.port}


def test_reads_go_on_when_the_replica_without_lag_dies(site: Site, second: Replica) -> None:
    with lagging(second):
        site.write("new", WRITER)
        with site.stopped():
            assert ports_read(site, WRITER, ["new"]) == {site.services.primary.port}
            assert ports_read(site, OTHER, []) == {second.port}
    catch_up(site)
    assert ports_read(site, WRITER, ["new"]) == {site.replica.port, second.port}


def test_reads_go_on_when_one_of_two_freezes(site: Site, second: Replica) -> None:
    catch_up(site)
    with site.frozen():
        monitor.report_failure("replica1", "frozen")
        assert ports_read(site, OTHER) == {second.port}
