"""`manage.py migrate` while other connections use the tables, on its own database, with the app `migrated_app`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from instafeed.core.db import concurrent_indexes
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

pytestmark = pytest.mark.timeout(300)  # starts many programs, perhaps beside other tests

APP = "migrated_app"
WITH_RETRY_DELAYS = """
from instafeed.core.management.commands import migrate
migrate.RETRY_DELAYS = {}
import manage
manage.main()
"""
TWO_QUICK_RETRIES = WITH_RETRY_DELAYS.format("(0.2, 0.2)")
MANY_RETRIES = WITH_RETRY_DELAYS.format("(1,) * 100")
HAS_COLUMN = """
SELECT count(*) FROM information_schema.columns WHERE table_name = 'migrated_app_note' AND column_name = 'failed_at'
"""
ATTACHMENTS_EXIST = "SELECT to_regclass('migrated_app_attachment') IS NOT NULL"
INDEX_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('note_failed')"
READ_TABLE = "SELECT FROM migrated_app_note"
# What a dump does: it locks no table, but an index build waits for its end.
TAKE_SNAPSHOT = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
BUILDING_PID = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONC%'"
LONGER_THAN_THE_LOCK_TIMEOUT = "clock_timestamp() - query_start > interval '1.5 s'"


class Database:
    """A database, and `manage.py migrate` on it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start_migrate(self, *arguments: str, program: tuple[str, ...] = ("manage.py",)) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *program, "migrate", "--noinput", APP, *arguments],
            cwd=PROJECT_ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.system.core.migrated_app.settings",
                "DATABASE_URL": self.url,
                "DATABASE_REPLICA_URLS": "",
                "MIGRATION_LOCK_TIMEOUT": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def migrate(self, *arguments: str) -> None:
        out, err = (process := self.start_migrate(*arguments)).communicate(timeout=120)
        assert process.returncode == 0, out + err

    @contextmanager
    def transaction(self, *statements: str) -> Iterator[psycopg.Connection]:
        """Keep a transaction open until the end of the block, or until the block ends it."""
        with psycopg.connect(self.url) as held:
            for statement in statements:
                held.execute(statement)
            yield held

    def query(self, query: str) -> object:
        """Return the first value of the first row. Fails if it waits for a lock much longer than a lock timeout."""
        with psycopg.connect(self.url, autocommit=True, options="-c statement_timeout=30000") as asking:
            row = asking.execute(query).fetchone()
            return row and row[0]


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(process.communicate()[1])


@pytest.fixture(scope="module")
def migrated(worker_id: str) -> Iterator[Database]:
    name = f"migrated_{worker_id}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            database = Database(urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}")))
            database.migrate()
            yield database
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def without_column(migrated: Database) -> Database:
    migrated.migrate("0001")
    assert not migrated.query(HAS_COLUMN)
    return migrated


@pytest.fixture
def without_index(migrated: Database) -> Database:
    migrated.migrate("0002")
    assert migrated.query(INDEX_IS_VALID) is None
    return migrated


@pytest.fixture
def without_attachments(migrated: Database) -> Database:
    migrated.migrate("0003")
    return migrated


def test_gives_up_without_blocking_readers_and_fails_with_one_line(without_column: Database) -> None:
    with without_column.transaction(READ_TABLE):
        process = without_column.start_migrate(program=("-c", TWO_QUICK_RETRIES))

        def has_ended_while_others_read() -> bool:
            without_column.query(f"SELECT count(*) FROM ({READ_TABLE}) AS rows")
            return process.poll() is not None

        eventually(has_ended_while_others_read)
    out, err = process.communicate()
    assert process.returncode == 1
    assert err.startswith("CommandError: Could not acquire a lock within 1 s (3 attempts).")
    assert len(err.splitlines()) == 1, err
    assert out.count("could not acquire a lock") == 2
    assert not without_column.query(HAS_COLUMN)


def test_continues_when_the_lock_becomes_available(without_column: Database) -> None:
    with without_column.transaction(READ_TABLE) as reader:
        process = without_column.start_migrate()
        read_until(process, "could not acquire a lock")
        reader.rollback()
        assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 0
    assert without_column.query(HAS_COLUMN)


def test_deferred_sql_continues_when_the_lock_becomes_available(without_attachments: Database) -> None:
    with without_attachments.transaction("LOCK TABLE migrated_app_note IN ROW EXCLUSIVE MODE") as writer:
        process = without_attachments.start_migrate()
        read_until(process, "could not acquire a lock")
        writer.rollback()
        assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 0
    assert without_attachments.query(ATTACHMENTS_EXIST)


def test_second_migrate_waits_and_finds_nothing_to_do(without_column: Database) -> None:
    with without_column.transaction(READ_TABLE) as reader:
        first = without_column.start_migrate(program=("-c", MANY_RETRIES))
        read_until(first, "could not acquire a lock")
        second = without_column.start_migrate()
        read_until(second, "Another migrate is running")
        reader.rollback()
        assert first.wait(120) == 0
        out, err = second.communicate(timeout=120)
    assert (second.returncode, err) == (0, "")
    assert "No migrations to apply." in out
    first.communicate()


def test_index_build_waits_for_a_long_transaction(without_index: Database) -> None:
    with without_index.transaction(*TAKE_SNAPSHOT) as old:
        process = without_index.start_migrate()
        eventually(lambda: without_index.query(f"{BUILDING_PID} AND {LONGER_THAN_THE_LOCK_TIMEOUT}"))
        assert process.poll() is None
        old.rollback()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "could not acquire a lock" not in out
    assert without_index.query(INDEX_IS_VALID) is True


def test_invalid_index_of_an_interrupted_build_is_rebuilt(without_index: Database) -> None:
    with without_index.transaction(*TAKE_SNAPSHOT):
        process = without_index.start_migrate()
        # False once the statement's first transaction is committed.
        eventually(lambda: without_index.query(INDEX_IS_VALID) is False)
        without_index.query(f"SELECT pg_terminate_backend({without_index.query(BUILDING_PID)})")
        assert len(process.communicate(timeout=120)[1].splitlines()) == 1
        assert process.returncode == 1
    assert without_index.query(INDEX_IS_VALID) is False
    without_index.migrate()
    assert without_index.query(INDEX_IS_VALID) is True


def test_error_of_deferred_sql_is_reported(without_attachments: Database) -> None:
    with without_attachments.transaction("CREATE TABLE attachment_name ()") as occupied:
        occupied.commit()
        process = without_attachments.start_migrate()
        err = process.communicate(timeout=120)[1]
        occupied.execute("DROP TABLE attachment_name")
    assert err == 'instafeed: the database returned an error: relation "attachment_name" already exists\n'
    assert process.returncode == 1


# --- Rules for the project's migrations ---------------------------------------------------------------------------


@pytest.fixture
def migrations_with_sql(db: None) -> list[tuple[Migration, list[str]]]:
    """The project's migrations, each with its SQL statements."""
    configuration = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["django_migration_linter"]
    loader = MigrationLoader(connection, replace_migrations=False)
    nodes = [
        migration for key, migration in sorted(loader.graph.nodes.items()) if key[0] in configuration["include_apps"]
    ]
    assert len(nodes) >= len(configuration["include_apps"])
    return [(migration, loader.collect_sql([(migration, False)])) for migration in nodes]


TABLE = r'(?:TABLE|INDEX[^;]*? ON) "?(\w+)'
SCANS = re.compile(
    r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)|ALTER TABLE .*(?:ADD CONSTRAINT (?!.* NOT VALID)|SET NOT NULL)"
)


def scans_under_a_lock(statements: list[str]) -> list[str]:
    """Return the statements that read every row of an existing table while they block writes to it."""
    created: set[str] = set()
    found = []
    for statement in statements:
        table = re.search(TABLE, statement)
        if statement.startswith("CREATE TABLE") and table:
            created.add(table[1])
        elif SCANS.match(statement) and table and table[1] not in created:
            found.append(statement)
    return found


def test_no_migration_scans_an_existing_table_under_a_lock(
    migrations_with_sql: list[tuple[Migration, list[str]]],
) -> None:
    found = [(str(migration), bad) for migration, sql in migrations_with_sql for bad in scans_under_a_lock(sql)]
    assert not found


def test_scans_are_found_beside_statements_on_a_new_table() -> None:
    """The linter looks only at the first index of a migration."""
    harmless = [
        'CREATE TABLE "new" ("id" int)',
        'CREATE INDEX "a" ON "new" ("id")',
        'CREATE INDEX CONCURRENTLY "b" ON "old" ("id")',
    ]
    bad = [
        'CREATE INDEX "c" ON "old" ("id")',
        'CREATE UNIQUE INDEX "d" ON "old" USING btree ("id")',
        'ALTER TABLE "old" ADD CONSTRAINT "e" CHECK ("id" > 0)',
    ]
    assert (
        scans_under_a_lock([*harmless, *bad, 'ALTER TABLE "old" ADD CONSTRAINT "f" CHECK ("id" > 0) NOT VALID']) == bad
    )


def test_non_atomic_migrations_can_be_repeated(migrations_with_sql: list[tuple[Migration, list[str]]]) -> None:
    """A failed non-atomic migration keeps its completed operations, so each operation must tolerate a repetition."""
    repeatable = (concurrent_indexes.AddIndexConcurrently, concurrent_indexes.RemoveIndexConcurrently)
    for migration, sql in migrations_with_sql:
        if not migration.atomic:
            assert all(isinstance(operation, repeatable) for operation in migration.operations), migration
        assert migration.atomic is not any("CONCURRENTLY" in line for line in sql), migration
