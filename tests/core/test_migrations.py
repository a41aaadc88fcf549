"""`manage.py migrate` beside a site that goes on answering: on a database of its own, with locks that others hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from instafeed.core.db import concurrent_indexes
from instafeed.devstack.state import PROJECT_ROOT

pytestmark = pytest.mark.timeout(300)  # many programs are started, perhaps beside other tests

_PAUSES = "from instafeed.management.commands import migrate; migrate.PAUSES = {}; import manage; manage.main()"
QUICK = _PAUSES.format("(.2, .2)")
PATIENT = _PAUSES.format("(1,) * 100")
COLUMN = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'media_media' AND column_name = 'again_at'"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('media_failed')"
# As a dump has one: whatever builds an index waits for its end. It locks no table.
SNAPSHOT = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
BUILDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONC%'"


class Database:
    def __init__(self, url: str) -> None:
        self.url = url

    def start(self, *arguments: str, program: tuple[str, ...] = ("manage.py",)) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *program, "migrate", "--noinput", *arguments],
            cwd=PROJECT_ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "instafeed.settings",
                "DATABASE_URL": self.url,
                "DATABASE_REPLICA_URLS": "",
                "MIGRATION_LOCK_TIMEOUT": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def migrate(self, *arguments: str) -> None:
        out, err = (process := self.start(*arguments)).communicate(timeout=120)
        assert process.returncode == 0, out + err

    @contextmanager
    def transaction(self, *statements: str) -> Iterator[psycopg.Connection]:
        """Open until the end of the block, or until it is ended within."""
        with psycopg.connect(self.url) as held:
            for statement in statements:
                held.execute(statement)
            yield held

    def ask(self, query: str) -> object:
        with psycopg.connect(self.url, autocommit=True, options="-c statement_timeout=3000") as asking:
            row = asking.execute(query).fetchone()
            return row and row[0]


def until(seen: Callable[[], object]) -> object:
    deadline = time.monotonic() + 100
    while not (value := seen()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


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
def database(migrated: Database) -> Database:
    """Without the columns, constraints and indexes of a few migrations."""
    migrated.migrate("media", "0002")
    assert not migrated.ask(COLUMN)
    return migrated


@pytest.fixture
def without_index(migrated: Database) -> Database:
    migrated.migrate("media", "0003")
    assert migrated.ask(VALID) is None
    return migrated


def test_who_gets_no_lock_holds_nobody_up_and_ends_with_one_line(database: Database) -> None:
    with database.transaction("SELECT FROM media_media"):
        process = database.start("media", program=("-c", QUICK))
        while process.poll() is None:
            database.ask("SELECT count(*) FROM media_media")  # fails after 3 s
            time.sleep(0.1)
    out, err = process.communicate()
    assert process.returncode == 1
    assert err.startswith("CommandError: a lock that others hold was not to be had within 1 s, in 3 tries.")
    assert len(err.splitlines()) == 1, err
    assert out.count("did not get a lock") == 2
    assert not database.ask(COLUMN)


def test_it_goes_on_once_it_gets_the_lock(database: Database) -> None:
    with database.transaction("SELECT FROM media_media") as reader:
        process = database.start("media")
        read_until(process, "did not get a lock")
        reader.rollback()
        assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 0
    assert database.ask(COLUMN)


def test_of_two_at_once_the_second_waits_and_finds_nothing_to_do(database: Database) -> None:
    with database.transaction("SELECT FROM media_media") as reader:
        first = database.start("media", program=("-c", PATIENT))
        read_until(first, "did not get a lock")
        second = database.start("media")
        read_until(second, "Another migrate is at work")
        reader.rollback()
        assert first.wait(120) == 0
        out, err = second.communicate(timeout=120)
    assert (second.returncode, err) == (0, "")
    assert "No migrations to apply." in out
    first.communicate()


def test_a_long_transaction_delays_an_index_and_is_no_failure(without_index: Database) -> None:
    with without_index.transaction(*SNAPSHOT) as old:
        process = without_index.start("media")
        until(lambda: without_index.ask(BUILDS))
        time.sleep(1.5)  # past the lock's timeout
        assert process.poll() is None
        old.rollback()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "did not get a lock" not in out
    assert without_index.ask(VALID) is True


def test_the_ruin_of_an_interrupted_build_is_built_anew(without_index: Database) -> None:
    with without_index.transaction(*SNAPSHOT):
        process = without_index.start("media")
        until(lambda: without_index.ask(VALID) is False)  # the statement's first transaction is committed
        without_index.ask(f"SELECT pg_terminate_backend({without_index.ask(BUILDS)})")
        assert len(process.communicate(timeout=120)[1].splitlines()) == 1
        assert process.returncode == 1
    assert without_index.ask(VALID) is False
    without_index.migrate("media")
    assert without_index.ask(VALID) is True


# --- What migrations may do ---------------------------------------------------------------------------------------


@pytest.fixture
def linted(transactional_db: None) -> list[tuple[Migration, list[str]]]:
    """Each migration that the linter judges, and its SQL."""
    configuration = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["tool"]["django_migration_linter"]
    loader = MigrationLoader(connection, replace_migrations=False)
    mine = [
        (key, migration)
        for key, migration in sorted(loader.graph.nodes.items())
        if key[0] in configuration["include_apps"] and key[1] not in configuration["ignore_name"]
    ]
    return [(migration, loader.collect_sql([(migration, False)])) for _, migration in mine]


TABLE = r'(?:TABLE|INDEX[^;]*? ON) "?(\w+)'
SCANS = re.compile(
    r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)|ALTER TABLE .*(?:ADD CONSTRAINT (?!.* NOT VALID)|SET NOT NULL)"
)


def scans_under_a_lock(statements: list[str]) -> list[str]:
    """Statements that read, or build something of, every row of a table while nobody may write to it."""
    made: set[str] = set()
    found = []
    for statement in statements:
        table = re.search(TABLE, statement)
        if statement.startswith("CREATE TABLE") and table:
            made.add(table[1])
        elif SCANS.match(statement) and table and table[1] not in made:
            found.append(statement)
    return found


def test_no_migration_scans_a_table_in_use_under_a_lock(linted: list[tuple[Migration, list[str]]]) -> None:
    found = [(str(migration), bad) for migration, sql in linted for bad in scans_under_a_lock(sql)]
    assert not found
    assert sum("INDEX CONCURRENTLY" in line for _, sql in linted for line in sql) >= 8


def test_an_index_beside_one_of_a_new_table_is_seen() -> None:
    """The linter looks at the first index of a migration only."""
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


def test_whatever_runs_without_a_transaction_can_be_run_again(linted: list[tuple[Migration, list[str]]]) -> None:
    """What a half-done migration did stays done: each operation must pass over that."""
    repeatable = (concurrent_indexes.AddIndexConcurrently, concurrent_indexes.RemoveIndexConcurrently)
    assert [migration for migration, _ in linted if not migration.atomic]
    for migration, sql in linted:
        if not migration.atomic:
            assert all(isinstance(operation, repeatable) for operation in migration.operations), migration
        assert migration.atomic is not any("CONCURRENTLY" in line for line in sql), migration
