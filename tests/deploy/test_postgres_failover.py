"""The servers of deploy/postgres/ after a failover or a restore: which one follows, and which data are kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy.postgres_server import ComposePostgres, returns_count, slot, stopped_watching
from tests.support.eventually import eventually

pytestmark = [pytest.mark.xdist_group("deploy_postgres"), pytest.mark.timeout(600)]

STREAMING = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"
ROWS = "SELECT count(*) FROM written"
TIMELINE = "SELECT timeline_id FROM pg_control_checkpoint()"


@pytest.fixture
def pair(postgres_root: Path) -> Iterator[tuple[ComposePostgres, ComposePostgres]]:
    """A primary and a replica of its own for a test, which may exchange their roles."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pair-", dir=postgres_root)))
        first = ComposePostgres("postgres", directory, REPLICA_WATCH="1")
        second = ComposePostgres("postgres-replica", directory, REPLICA_WATCH="1")
        for server, other in ((first, second), (second, first)):
            assert server.environment is not None
            server.environment |= {"PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(other.port)}
            stack.callback(server.stop)
        first.start(240)
        with first.connect() as connection:
            connection.execute("CREATE TABLE written AS SELECT 1 AS number")
        second.start(240)
        eventually(lambda: returns_count(second, ROWS, 1))
        yield first, second


def insert(server: ComposePostgres) -> None:
    with server.connect() as connection:
        connection.execute("INSERT INTO written VALUES (2)")


def restart_with_primary(server: ComposePostgres, name: str) -> None:
    """Do what `docker compose up -d` does after a change of POSTGRES_PRIMARY in .env."""
    server.stop()
    assert server.environment is not None
    server.environment["POSTGRES_PRIMARY"] = name
    server.start(240)


def test_former_primary_follows_the_promoted_replica(pair: tuple[ComposePostgres, ComposePostgres]) -> None:
    """Its data, with a commit that the replica never received, are kept."""
    first, second = pair
    second.stop()
    insert(first)
    first.stop()
    restart_with_primary(second, "postgres-replica")
    assert second.ask("SELECT pg_promote()", "postgres") == (True,)
    for _ in range(2):
        insert(second)
    restart_with_primary(first, "postgres-replica")
    eventually(lambda: returns_count(first, STREAMING, 1))
    eventually(lambda: returns_count(first, ROWS, 3))
    assert (first.data.with_name("docker.old") / "PG_VERSION").exists()
    insert(second)
    eventually(lambda: returns_count(first, ROWS, 4))


def restore_earlier_state(first: ComposePostgres, second: ComposePostgres, *, stop_replica: bool) -> None:
    """Restore the primary from a base backup as of before the replica's last row. It gets a new timeline."""
    earlier = first.data.with_name("earlier")
    first.stop()
    subprocess.run(["cp", "-a", first.data, earlier], check=True)
    shutil.rmtree(earlier / "pg_replslot" / "replica")  # a base backup contains no slots
    signal_file = earlier / "recovery.signal"
    signal_file.touch()
    if first.user is not None and first.group is not None:
        os.chown(signal_file, first.user, first.group)
    with (earlier / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'false'\n")
    first.start(240)
    insert(first)
    eventually(lambda: returns_count(second, ROWS, 2))
    if stop_replica:
        second.stop()
    first.stop()
    shutil.rmtree(first.data)
    earlier.rename(first.data)
    first.start(240)
    eventually(lambda: first.ask("SELECT pg_is_in_recovery()") == (False,))
    assert first.ask(ROWS) == (1,)


def test_copy_that_is_ahead_of_a_restored_primary_is_kept(pair: tuple[ComposePostgres, ComposePostgres]) -> None:
    """The commands of docs/backup.md return to it, although it has received the history of the restored timeline."""
    first, second = pair
    restore_earlier_state(first, second, stop_replica=False)
    eventually(lambda: returns_count(second, ROWS, 1))

    second.stop()
    page = (PROJECT_ROOT / "docs" / "backup.md").read_text()
    (exchange,) = re.findall(r"sh postgres-replica -c '(.*)'", page)
    subprocess.run(["sh", "-c", exchange.replace("/var/lib/postgresql/18", str(second.data.parent))], check=True)
    restart_with_primary(second, "postgres-replica")
    assert second.ask("SELECT pg_promote()", "postgres") == (True,)
    assert second.ask(ROWS) == (2,)
    (remove,) = re.findall(r"exec postgres-replica (sed -i .*)", page)
    subprocess.run(["sh", "-c", remove.replace("/var/lib/postgresql/18", str(second.data.parent))], check=True)
    assert "recovery_target_timeline" not in (second.data / "postgresql.auto.conf").read_text()


def test_former_primary_follows_after_both_servers_were_promoted(
    pair: tuple[ComposePostgres, ComposePostgres],
) -> None:
    """Both have timeline 2, so only its history shows that they diverged. There is never a second primary."""
    first, second = pair
    restore_earlier_state(first, second, stop_replica=True)
    first.stop()
    restart_with_primary(second, "postgres-replica")
    assert second.ask("SELECT pg_promote()", "postgres") == (True,)
    with second.connect("postgres", dbname="postgres") as superuser:
        superuser.execute("CHECKPOINT")
    timelines = [first.control_value("Latest checkpoint's TimeLineID"), str(second.ask(TIMELINE, "postgres")[0])]
    assert timelines == ["2", "2"]
    restart_with_primary(first, "postgres-replica")
    eventually(lambda: returns_count(first, STREAMING, 1))
    assert first.ask(ROWS) == (2,)
    assert (first.data.with_name("docker.old") / "PG_VERSION").exists()


def test_promoted_replica_keeps_its_data_when_a_primary_of_an_older_timeline_returns(
    pair: tuple[ComposePostgres, ComposePostgres],
) -> None:
    """Its own timeline 3 begins in the primary's timeline 2."""
    first, second = pair
    restore_earlier_state(first, second, stop_replica=True)
    second.start(240)
    # Not by STREAMING: a receiver on the old data is that too, until the primary says that there is no slot.
    eventually(lambda: slot(first) == (True, "reserved"))
    eventually(lambda: returns_count(second, STREAMING, 1))
    assert second.ask("SELECT pg_promote()", "postgres") == (True,)
    with second.connect("postgres", dbname="postgres") as superuser:
        superuser.execute("CHECKPOINT")
    assert second.ask(TIMELINE, "postgres") == (3,)
    eventually(lambda: stopped_watching(second) == 1)
    insert(second)
    second.stop()
    second.start(240)
    eventually(lambda: stopped_watching(second) == 2)
    assert second.ask(ROWS) == (2,)


def test_replica_without_data_does_not_become_an_empty_primary(postgres_root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="empty-", dir=postgres_root) as directory:
        server = ComposePostgres("postgres-replica", Path(directory), POSTGRES_PRIMARY="postgres-replica")
        server.launch()
        try:
            eventually(lambda: not server.running)
            assert not server.data.exists()
            assert "postgres-replica has no data" in server.log.read_text()
        finally:
            server.stop()


def test_failing_base_backup_is_repeated_more_and_more_rarely(postgres_root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="alone-", dir=postgres_root) as directory:
        server = ComposePostgres(
            "postgres-replica", Path(directory), PRIMARY_HOST="127.0.0.1", PRIMARY_PORT=str(free_port())
        )
        server.launch()
        try:
            eventually(lambda: "trying again in 4 s" in server.log.read_text())
            assert "trying again in 2 s" in server.log.read_text()
        finally:
            server.stop()
