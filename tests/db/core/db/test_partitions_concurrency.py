"""Partitions are added and dropped while others read and write, and by several processes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection, transaction

from instafeed.core.db import partitions
from instafeed.core.db.partitions import PartitionedTable, fetch_partitions, maintain
from instafeed.core.db.snowflake import first_id_at
from tests.support.concurrency import repeated_in_threads, run_concurrently
from tests.support.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

LENGTH = timedelta(days=30)
CREATED = datetime(2026, 1, 10, tzinfo=UTC)
EVENTS = PartitionedTable("event", LENGTH, retention=timedelta(days=60))


@pytest.fixture(autouse=True)
def _table() -> Iterator[None]:
    """Create a table of events as of `CREATED`."""
    execute("CREATE TABLE event (id bigint PRIMARY KEY) PARTITION BY RANGE (id)")
    for statement in partitions.create_first_partitions("event", LENGTH, CREATED):
        execute(statement)
    yield
    execute("DROP TABLE event")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_processes_that_run_at_once_add_one_partition() -> None:
    for month in range(1, 5):
        now = CREATED + month * LENGTH
        run_concurrently([partial(maintain, EVENTS, now)] * 3)
        assert maintain(EVENTS, now)
        found = fetch_partitions("event")
        assert [earlier.end for earlier in found[:-1]] == [later.start for later in found[1:]]
        assert found[-1].start == partitions.next_bound(LENGTH, now + partitions.AHEAD)


def test_a_table_in_use_is_left_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queries wait behind a waiting change, so it gives up."""
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT", "50ms")
    now, before = CREATED + LENGTH, fetch_partitions("event")
    with transaction.atomic():
        execute("SELECT FROM event")
        assert run_concurrently([partial(maintain, EVENTS, now)]) == [False]
        assert fetch_partitions("event") == before
    assert maintain(EVENTS, now)
    assert len(fetch_partitions("event")) == len(before) + 1


def test_inserts_go_on_meanwhile() -> None:
    now, inserted = [CREATED], Counter[datetime]()

    def insert() -> None:
        at = now[-1]
        execute(f"INSERT INTO event VALUES ({first_id_at(at) + inserted[at]})")
        inserted[at] += 1

    with repeated_in_threads(insert):
        for month in range(6):
            now.append(CREATED + month * LENGTH)
            while not maintain(PartitionedTable("event", LENGTH), now[-1]):
                pass
            eventually(lambda: inserted[now[-1]] > 1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT tableoid) FROM event")
        assert cursor.fetchone() == (inserted.total(), 5)
