"""Which replicas the monitor reports as usable."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from django.db import connections
from pytest_django import Settings

from instafeed.core.db.replicas import monitor as monitor_module
from instafeed.core.db.replicas import wal
from instafeed.core.db.replicas.monitor import MAX_TRANSACTION_AGE, ReplicaMonitor, monitor
from instafeed.core.monitoring import health
from tests.support.eventually import eventually
from tests.system.core.replicas.conftest import Site

pytestmark = pytest.mark.usefixtures("patient")


def test_a_new_process_waits_for_its_first_check(
    site: Site, fresh_monitor: ReplicaMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "FIRST_CHECK_TIMEOUT", 60.0)  # for a busy machine
    sample = wal.sample_primary()
    site.catch_up()
    # A later sample may be ahead of the replica, if the server has just written a record of its own.
    monkeypatch.setattr(wal, "sample_primary", lambda: replace(sample, taken_at=time.monotonic()))
    assert fresh_monitor.usable() == ["replica1"]


def test_a_replica_beyond_the_maximum_lag_is_excluded(site: Site, settings: Settings) -> None:
    with site.replay_paused():
        site.write("a little")  # a few bytes are enough
        settings.REPLICA_MAX_LAG = 3_600
        assert is_usable()
        settings.REPLICA_MAX_LAG = 1
        eventually(lambda: not is_usable())
    site.catch_up()
    eventually(is_usable)


def test_an_idle_primary_causes_no_lag(site: Site, settings: Settings) -> None:
    settings.REPLICA_MAX_LAG = 1
    site.wait_until_idle_for(2)
    eventually(is_usable)


def is_usable() -> bool:
    """Check now. On a busy machine the check may be older than the maximum lag when it ends."""
    monitor.check_now()
    return monitor.usable() == ["replica1"]


def check_until_proved(checked: ReplicaMonitor) -> datetime:
    """Check until the replica has everything from before the check. Return the time before that check.

    A check finds the primary ahead of the replica if the server has just written a record of its own.
    """
    before = datetime.now(UTC)

    def is_proved() -> bool:
        nonlocal before
        before = datetime.now(UTC)
        checked.check_now()
        return checked.holds_all_before("replica1", before - MAX_TRANSACTION_AGE)

    eventually(is_proved)
    return before


def test_a_lagging_replica_is_proved_up_to_its_newest_replayed_sample(
    site: Site, fresh_monitor: ReplicaMonitor
) -> None:
    before = check_until_proved(fresh_monitor)
    with site.replay_paused():
        between = datetime.now(UTC)
        site.write("after the sample")
        fresh_monitor.check_now()
        assert fresh_monitor.holds_all_before("replica1", before - MAX_TRANSACTION_AGE)
        assert not fresh_monitor.holds_all_before("replica1", between - MAX_TRANSACTION_AGE)


def test_a_failure_discards_the_proof(site: Site, fresh_monitor: ReplicaMonitor) -> None:
    check_until_proved(fresh_monitor)
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    assert fresh_monitor.holds_all_before("replica1", long_ago)
    fresh_monitor.report_failure("replica1", "it may come back from an earlier state")
    assert not fresh_monitor.holds_all_before("replica1", long_ago)
    assert not fresh_monitor.has_replayed("replica1", 1)


def test_a_check_that_started_before_a_failure_does_not_end_it(
    site: Site, fresh_monitor: ReplicaMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_replica_status = wal.fetch_replica_status

    def fail_during_the_check(alias: str) -> wal.ReplicaStatus:
        fresh_monitor.report_failure(alias, "just now")
        return fetch_replica_status(alias)

    monkeypatch.setattr(wal, "fetch_replica_status", fail_during_the_check)
    fresh_monitor.check_now()
    assert fresh_monitor.is_down("replica1")


def test_a_server_that_is_not_a_replica_is_not_used(site: Site, fresh_monitor: ReplicaMonitor) -> None:
    where = connections["replica1"].settings_dict
    where["PORT"] = str(site.services.primary.port)
    fresh_monitor.check_now()
    assert fresh_monitor.is_down("replica1")


def test_a_replica_that_does_not_stream_from_the_primary_is_not_used(
    site: Site, fresh_monitor: ReplicaMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    """Its position says nothing then: it may be a replica of another cluster, or of an earlier state of this one."""
    check_until_proved(fresh_monitor)
    assert fresh_monitor.usable() == ["replica1"]
    with site.services.primary.connect() as primary:
        primary.execute("ALTER ROLE replicator NOLOGIN")
        try:
            primary.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_replication")

            def is_left_out() -> bool:
                fresh_monitor.check_now()
                return fresh_monitor.is_down("replica1")

            eventually(is_left_out)
            assert wal.Fault.NOT_STREAMING in caplog.text
            assert health.probe_replica()["error"] == wal.Fault.NOT_STREAMING
        finally:
            primary.execute("ALTER ROLE replicator LOGIN")

    def is_back() -> bool:
        fresh_monitor.check_now()
        return fresh_monitor.usable() == ["replica1"]

    eventually(is_back)


def test_checks_run_one_at_a_time_with_pauses(
    site: Site, fresh_monitor: ReplicaMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many threads read."""
    monkeypatch.setattr(monitor_module, "CHECK_INTERVAL", (0.2, 0.3))
    checks: list[tuple[float, float]] = []
    sample_primary = wal.sample_primary

    def timed() -> wal.WalSample:
        began = time.monotonic()
        try:
            return sample_primary()
        finally:
            checks.append((began, time.monotonic()))

    monkeypatch.setattr(wal, "sample_primary", timed)
    stopped = threading.Event()

    def read() -> None:
        while not stopped.wait(0.005):
            fresh_monitor.usable()

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(checks) >= 5)
    stopped.set()
    for thread in threads:
        thread.join()
    fresh_monitor.wait_until_idle()
    assert all(began - ended >= 0.2 for (_, ended), (began, _) in pairwise(checks))
