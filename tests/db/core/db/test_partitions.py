"""Tables in partitions: every id has a partition, new ones are added ahead of time, and expired ones are dropped."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from instafeed.core.db import partitions
from instafeed.core.db.partitions import AHEAD, Partition, PartitionedTable, fetch_partitions, maintain
from instafeed.core.db.snowflake import MAX_ID, first_id_at

pytestmark = pytest.mark.django_db

LENGTH = timedelta(days=30)
CREATED = datetime(2026, 1, 10, tzinfo=UTC)
EVENTS = PartitionedTable("event", LENGTH)
FINITE_EVENTS = PartitionedTable("event", LENGTH, retention=timedelta(days=10), kept="state = 'open'")


@pytest.fixture(autouse=True)
def _tables() -> None:
    """Create a table of events as of `CREATED`, and remarks that refer to them."""
    execute("CREATE TABLE event (id bigint PRIMARY KEY, state text NOT NULL DEFAULT 'done') PARTITION BY RANGE (id)")
    for statement in partitions.create_first_partitions("event", LENGTH, CREATED):
        execute(statement)
    execute(
        "CREATE TABLE remark (id serial PRIMARY KEY,"
        " event_id bigint NOT NULL REFERENCES event DEFERRABLE INITIALLY DEFERRED)"
    )


def execute(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def insert(at: datetime, state: str = "done") -> int:
    id_ = first_id_at(at)
    execute("INSERT INTO event VALUES (%s, %s)", id_, state)
    return id_


def ids() -> set[int]:
    return {id_ for (id_,) in execute("SELECT id FROM event")}


def partition_of(id_: int) -> str:
    return str(execute("SELECT tableoid::regclass::text FROM event WHERE id = %s", id_)[0][0])


def assert_contiguous(found: list[Partition]) -> None:
    assert found[0].start is None
    assert found[-1].end is None
    assert all(earlier.end == later.start for earlier, later in pairwise(found))


@pytest.mark.parametrize("id_", [0, first_id_at(CREATED), first_id_at(CREATED + timedelta(days=9_999)), MAX_ID])
def test_every_id_has_a_partition(id_: int) -> None:
    assert_contiguous(fetch_partitions("event"))
    execute("INSERT INTO event VALUES (%s)", id_)
    assert ids() == {id_}


def test_bounds_are_multiples_of_the_length() -> None:
    bound = partitions.next_bound(LENGTH, CREATED)
    assert partitions.next_bound(LENGTH, CREATED + timedelta(days=3)) == bound
    assert partitions.next_bound(LENGTH, CREATED + LENGTH) == bound + first_id_at(datetime(2024, 1, 31, tzinfo=UTC))


def test_a_partition_is_added_when_the_last_one_is_near() -> None:
    for month in range(6):
        now = CREATED + month * LENGTH
        assert maintain(EVENTS, now)
        found = fetch_partitions("event")
        assert_contiguous(found)
        assert (found[-1].start or 0) > first_id_at(now + AHEAD)
    assert len(found) == 7
    in_fourth_month = insert(CREATED + 3 * LENGTH)
    assert partition_of(in_fourth_month) not in ("event_first", found[-1].name)


def test_nothing_changes_while_partitions_suffice() -> None:
    before = fetch_partitions("event")
    assert partitions.describe_changes(EVENTS, CREATED) == []
    assert maintain(EVENTS, CREATED)
    assert fetch_partitions("event") == before


@pytest.mark.parametrize("length", [timedelta(days=7), timedelta(days=365)])
def test_another_length_begins_with_the_next_partition(length: timedelta) -> None:
    before = fetch_partitions("event")
    assert maintain(PartitionedTable("event", length), CREATED + LENGTH)
    found = fetch_partitions("event")
    assert_contiguous(found)
    assert found[:1] == before[:1]
    assert found[-1].start == partitions.next_bound(length, CREATED + LENGTH + AHEAD)


def test_rows_stay_if_the_open_partition_is_closed_late() -> None:
    """Nothing has added partitions for years: the open one has rows, to which others refer."""
    now = CREATED + timedelta(days=900)
    late = {insert(now - timedelta(days=days)) for days in (0, 100, 400)}
    for id_ in late:
        execute("INSERT INTO remark (event_id) VALUES (%s)", id_)
    held_by = partition_of(min(late))
    assert maintain(EVENTS, now)
    assert ids() == late
    assert {partition_of(id_) for id_ in late} == {held_by}
    assert partition_of(insert(now + 2 * LENGTH)) != held_by
    assert_contiguous(fetch_partitions("event"))
    assert_references_are_enforced()


def assert_references_are_enforced() -> None:
    (definition,) = execute(
        "SELECT convalidated FROM pg_constraint"
        " WHERE conrelid = 'remark'::regclass AND contype = 'f' AND conparentid = 0"
    )
    assert definition == (True,)
    with pytest.raises(IntegrityError):
        execute("INSERT INTO remark (event_id) VALUES (1)")


def test_a_row_from_the_future_stays_too() -> None:
    """The server's clock was wrong once."""
    row = insert(CREATED + timedelta(days=999))
    assert maintain(EVENTS, CREATED + LENGTH)
    assert ids() == {row}
    assert partition_of(row) != fetch_partitions("event")[-1].name


def test_no_check_of_the_bounds_remains() -> None:
    assert maintain(EVENTS, CREATED + LENGTH)
    assert not execute("SELECT FROM pg_constraint WHERE contype = 'c' AND conrelid::regclass::text LIKE 'event%%'")


class Interrupt:
    """Raise KeyboardInterrupt instead of the change of a table with this number."""

    def __init__(self, number: int) -> None:
        self.number, self.changes = number, 0

    def __call__(self, execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(("ALTER", "CREATE")):
            self.changes += 1
            if self.changes == self.number:
                raise KeyboardInterrupt
        return execute(sql, *arguments)


@pytest.mark.parametrize("number", range(1, 12))
def test_an_interrupted_change_is_completed(number: int) -> None:
    now = CREATED + timedelta(days=900)
    late = insert(now)
    execute("INSERT INTO remark (event_id) VALUES (%s)", late)
    interrupt = Interrupt(number)
    with connection.execute_wrapper(interrupt), suppress(KeyboardInterrupt):
        maintain(EVENTS, now)
    assert interrupt.changes == min(number, 10)
    assert ids() == {late}
    assert maintain(EVENTS, now)
    assert ids() == {late}
    assert len(fetch_partitions("event")) == 3
    assert_contiguous(fetch_partitions("event"))
    assert_references_are_enforced()


def make_months(count: int) -> datetime:
    for month in range(count):
        maintain(EVENTS, CREATED + month * LENGTH)
    return CREATED + (count - 1) * LENGTH


def test_retention_drops_partitions_but_not_the_rows_to_keep() -> None:
    now = make_months(4)
    execute("DROP TABLE remark")
    old, young = insert(CREATED), insert(now - timedelta(days=9))
    kept = {insert(CREATED + timedelta(days=1), "open"), insert(CREATED + LENGTH, "open")}
    before = fetch_partitions("event")
    assert maintain(FINITE_EVENTS, now)
    assert ids() == {young, *kept}
    assert {partition_of(id_) for id_ in kept} == {"event_first"}
    found = fetch_partitions("event")
    assert_contiguous(found)
    assert len(found) == len(before) - 1, "two were dropped, one added"
    assert old not in ids()
    assert partitions.describe_changes(FINITE_EVENTS, now) == []


def test_kept_rows_are_dropped_once_they_need_not_be_kept() -> None:
    now = make_months(4)
    execute("DROP TABLE remark")
    insert(CREATED, "open")
    assert maintain(FINITE_EVENTS, now)
    execute("UPDATE event SET state = 'done'")
    assert maintain(FINITE_EVENTS, now)
    assert not ids()


def test_a_partition_with_a_young_row_is_not_dropped() -> None:
    now = make_months(2)
    row = insert(now - timedelta(days=11))
    assert maintain(FINITE_EVENTS, now)
    assert ids() == {row}, "its partition ends in the future"


def test_nothing_is_dropped_if_too_many_rows_must_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "MAX_KEPT_ROWS", 1)
    now = make_months(4)
    execute("DROP TABLE remark")
    rows = {insert(CREATED), insert(CREATED + LENGTH, "open"), insert(CREATED + timedelta(days=2), "open")}
    before = fetch_partitions("event")
    assert maintain(FINITE_EVENTS, now)
    assert ids() == rows
    assert fetch_partitions("event") == before


def test_old_ids_can_be_inserted_after_a_drop() -> None:
    now = make_months(4)
    execute("DROP TABLE remark")
    assert maintain(FINITE_EVENTS, now)
    assert partition_of(insert(CREATED)) == "event_first"


def test_gauge_says_how_far_ahead_partitions_are() -> None:
    ahead = partitions.partition_gauges()["instafeed_partition_ahead_seconds"]
    assert ahead.keys() == {"posts_post", "posts_like", "feeds_fanout"}
    assert all(seconds > AHEAD.total_seconds() / 2 for seconds in ahead.values())


def test_plans_of_foreign_key_checks_are_kept() -> None:
    """Otherwise each like and post plans its checks again, which depends on the number of partitions."""
    assert execute("SHOW plan_cache_mode") == [("force_generic_plan",)]
