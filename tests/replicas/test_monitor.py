"""When a replica may be used: down, lagging, proved."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connections

from instafeed.core.db.replicas import monitor as health
from instafeed.core.db.replicas import wal
from instafeed.core.db.replicas.monitor import MAX_TRANSACTION_AGE, ReplicaMonitor, monitor
from tests.eventually import eventually
from tests.replicas.conftest import Site


def test_a_process_that_knows_nothing_waits_for_its_first_check(
    site: Site, fresh_monitor: ReplicaMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FIRST_CHECK_TIMEOUT", 20.0)  # the machine may be busy
    assert fresh_monitor.usable() == ["replica1"]


def test_a_replica_that_lags_longer_than_the_bound_is_left_out(site: Site, settings: Any) -> None:
    settings.REPLICA_MAX_LAG = 1
    eventually(is_used, 60)
    with site.replay_paused():
        site.write("a little")  # however few bytes it is behind
        deadline = time.monotonic() + 1.2
        while time.monotonic() < deadline:
            monitor.check_now()
            time.sleep(0.1)
        assert monitor.usable() == []
    site.catch_up()
    eventually(is_used, 60)


def test_an_idle_primary_makes_no_lag(site: Site, settings: Any) -> None:
    settings.REPLICA_MAX_LAG = 1
    time.sleep(1.5)
    eventually(is_used, 60)


def is_used() -> bool:
    """After a check of now. On a busy machine one may be older than the bound when it ends."""
    monitor.check_now()
    return monitor.usable() == ["replica1"]


def test_a_lagging_replica_is_proved_up_to_the_newest_sample_it_passed(
    site: Site, fresh_monitor: ReplicaMonitor
) -> None:
    fresh_monitor.check_now()
    with site.replay_paused():
        between = datetime.now(UTC)
        site.write("after the sample")
        fresh_monitor.check_now()
        assert fresh_monitor.holds_all_before("replica1", between - MAX_TRANSACTION_AGE - timedelta(seconds=1))
        assert not fresh_monitor.holds_all_before("replica1", between - MAX_TRANSACTION_AGE)


def test_a_failure_forgets_what_was_proved(site: Site, fresh_monitor: ReplicaMonitor) -> None:
    fresh_monitor.check_now()
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    assert fresh_monitor.holds_all_before("replica1", long_ago)
    fresh_monitor.report_failure("replica1", "it may come back from an earlier state")
    assert not fresh_monitor.holds_all_before("replica1", long_ago)
    assert not fresh_monitor.has_replayed("replica1", 1)


def test_a_check_from_before_a_failure_does_not_bring_the_replica_back(
    site: Site, fresh_monitor: ReplicaMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_meanwhile(alias: str, query: str) -> tuple[int]:
        fresh_monitor.report_failure(alias, "just now")
        return (2**60,)

    monkeypatch.setattr("instafeed.core.db.replicas.monitor.query_row", fails_meanwhile)
    fresh_monitor.check_now()
    assert fresh_monitor.is_down("replica1")


def test_a_server_that_is_no_replica_is_not_used(site: Site, fresh_monitor: ReplicaMonitor) -> None:
    where = connections["replica1"].settings_dict
    where["PORT"] = str(site.services.primary.port)
    fresh_monitor.check_now()
    assert fresh_monitor.is_down("replica1")


def test_checks_come_one_at_a_time_and_not_more_often_than_each_second(
    site: Site, fresh_monitor: ReplicaMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[float] = []
    sample = wal.sample_primary

    def counted() -> wal.WalSample:
        began.append(time.monotonic())
        return sample()

    monkeypatch.setattr(wal, "sample_primary", counted)
    stop = time.monotonic() + 2.5

    def read() -> None:
        while time.monotonic() < stop:
            fresh_monitor.usable()
            time.sleep(0.005)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh_monitor.wait_until_idle()
    assert 2 <= len(began) <= 3
    assert all(later - earlier >= 1 for earlier, later in pairwise(began))
