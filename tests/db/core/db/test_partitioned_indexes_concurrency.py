"""Indexes of tables with partitions are built and dropped by migrations; concurrent builds need real commits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from instafeed.core.db import partitions
from instafeed.core.db.concurrent_indexes import AddIndexConcurrently, RemoveIndexConcurrently

pytestmark = pytest.mark.django_db(transaction=True)

BUILD = AddIndexConcurrently("event", models.Index(fields=["kind"], name="event_kind"))
DROP = RemoveIndexConcurrently("event", "event_kind")
VALID_INDEXES = """
SELECT count(*) FROM pg_partition_tree(to_regclass('event_kind')) JOIN pg_index ON indexrelid = relid AND indisvalid
"""
BUILD_OF_ONE_PARTITION = "CREATE INDEX event_kind_first ON event_first (kind)"


@pytest.fixture(autouse=True)
def _table() -> Iterator[None]:
    execute("CREATE TABLE event (id bigint PRIMARY KEY, kind int) PARTITION BY RANGE (id)")
    for statement in partitions.create_first_partitions("event", timedelta(days=30), datetime(2026, 1, 1, tzinfo=UTC)):
        execute(statement)
    execute("INSERT INTO event SELECT number, number FROM generate_series(1, 9) AS number")
    yield
    execute("DROP TABLE event")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def state(*operations: Operation) -> ProjectState:
    fields: list[tuple[str, models.Field]] = [
        ("id", models.BigIntegerField(primary_key=True)),
        ("kind", models.IntegerField(null=True)),
    ]
    built = ProjectState()
    built.add_model(ModelState("events", "Event", fields, {"db_table": "event", "indexes": []}))
    for operation in operations:
        operation.state_forwards("events", built)
    return built


def count_valid_indexes() -> int:
    with connection.cursor() as cursor:
        cursor.execute(VALID_INDEXES)
        return int(cursor.fetchone()[0])


def run(operation: Operation, before: ProjectState, after: ProjectState, *, backwards: bool = False) -> None:
    with connection.schema_editor(atomic=False) as editor:
        (operation.database_backwards if backwards else operation.database_forwards)("events", editor, before, after)


@pytest.mark.parametrize("interrupted", [False, True])
def test_index_is_built_on_each_partition_and_dropped(interrupted: bool) -> None:
    if interrupted:
        execute(BUILD_OF_ONE_PARTITION)
    run(BUILD, state(), state(BUILD))
    assert count_valid_indexes() == 3, "the table's and those of two partitions"
    run(BUILD, state(), state(BUILD))
    assert count_valid_indexes() == 3, "a retry keeps them"
    run(BUILD, state(BUILD), state(), backwards=True)
    assert count_valid_indexes() == 0


def test_dropped_index_can_be_built_again() -> None:
    run(BUILD, state(), state(BUILD))
    run(DROP, state(BUILD), state(BUILD, DROP))
    assert count_valid_indexes() == 0
    run(DROP, state(BUILD, DROP), state(BUILD), backwards=True)
    assert count_valid_indexes() == 3


def test_new_partitions_have_the_index() -> None:
    run(BUILD, state(), state(BUILD))
    table = partitions.PartitionedTable("event", timedelta(days=30))
    assert partitions.maintain(table, datetime(2026, 3, 1, tzinfo=UTC))
    assert count_valid_indexes() == 4
