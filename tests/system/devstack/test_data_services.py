"""The data services: a streaming replica, a cache, a broker, all private."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from instafeed.devstack.child_process import has_ended, process_tree
from instafeed.devstack.data_services import DataServices
from instafeed.devstack.state import ProcessIdentity, StackError, StackLayout, StackRecord, running_environment
from tests.support.eventually import eventually
from tests.system.conftest import NewDirectory


def write(services: DataServices) -> str:
    """Commit a unique mark on the primary, with the application's role, and return it."""
    mark = uuid.uuid4().hex
    with services.primary.connect(services.primary.url()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS marks (mark text)")
        connection.execute("INSERT INTO marks VALUES (%s)", [mark])
    return mark


def is_replicated(services: DataServices, mark: str, url: str | None = None) -> bool:
    """Return whether the first replica, or the one with this URL, has the mark."""
    try:
        with services.replica.connect(url or services.replica.url()) as connection:
            return connection.execute("SELECT 1 FROM marks WHERE mark = %s", [mark]).fetchone() is not None
    except psycopg.Error:
        return False


def test_replica_streams_from_the_primary(services: DataServices) -> None:
    query = "SELECT application_name, state FROM pg_stat_replication"
    with services.primary.connect() as connection:  # a replica that was just started catches up first
        eventually(lambda: connection.execute(query).fetchall() == [("instafeed_replica", "streaming")])
    mark = write(services)
    eventually(lambda: is_replicated(services, mark))


def test_replica_refuses_writes(services: DataServices) -> None:
    with (
        services.replica.connect(services.replica.url()) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TABLE anything (id int)")


def test_application_role_is_no_superuser(services: DataServices) -> None:
    with services.primary.connect(services.primary.url()) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False,)


def test_collation_and_case_of_all_scripts(services: DataServices) -> None:
    with services.primary.connect(services.primary.url()) as connection:
        row = connection.execute("SELECT 'a' > 'B', lower('ŽÄ'), pg_client_encoding()").fetchone()
    assert row == (True, "žä", "UTF8")


def test_cache_evicts_and_broker_persists(services: DataServices) -> None:
    def setting(url: str, name: str) -> str:
        with redis.Redis.from_url(url, decode_responses=True) as client:
            return str(client.config_get(name)[name])

    assert setting(services.cache.url, "maxmemory-policy") == "allkeys-lfu"
    assert setting(services.cache.url, "appendonly") == "no"
    assert setting(services.cache.url, "lazyfree-lazy-user-del") == "yes"
    assert setting(services.broker.url, "maxmemory-policy") == "noeviction"
    assert setting(services.broker.url, "appendonly") == "yes"
    assert int(setting(services.broker.url, "maxmemory")) > 0


def test_password_is_required(services: DataServices) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=services.cache.port, retry=Retry(NoBackoff(), 0)).ping()
    with pytest.raises(psycopg.OperationalError, match="password"):
        services.primary.connect(services.primary.url().replace(services.primary.password, "guess"))


def test_command_lines_contain_no_password(services: DataServices) -> None:
    command_lines = " ".join(word for child in services.children for word in child.tree()[0].cmdline())
    assert services.primary.password not in command_lines
    assert services.cache.password not in command_lines


def test_record_is_private_and_has_the_environment(services: DataServices) -> None:
    assert running_environment(services.layout.root) == services.environment
    assert services.layout.record.stat().st_mode & 0o077 == 0


def test_second_stack_on_the_same_directory_is_refused(services: DataServices) -> None:
    with pytest.raises(StackError, match="already runs"):
        DataServices(services.layout.root).__enter__()
    assert running_environment(services.layout.root) == services.environment


def test_paused_replica_catches_up(services: DataServices) -> None:
    services.replica.pause()
    mark = write(services)
    services.replica.resume()
    eventually(lambda: is_replicated(services, mark))


def test_restarted_server_keeps_its_port(services: DataServices) -> None:
    port = services.replica.port
    services.replica.kill()
    mark = write(services)
    services.replica.start()
    assert services.replica.port == port
    eventually(lambda: is_replicated(services, mark))


def test_repeatedly_killed_replica_keeps_its_data(services: DataServices) -> None:
    backup = services.replica.data / "backup_manifest"
    made = backup.stat().st_mtime_ns
    for _ in range(3):
        services.replica.kill()
        services.replica.start()
    assert backup.stat().st_mtime_ns == made


def test_replica_without_its_wal_takes_a_new_base_backup(services: DataServices) -> None:
    services.replica.stop()
    services.primary.drop_slot("replica")
    mark = write(services)
    services.replica.launch()

    def is_discarded() -> bool:
        services.replica.mend()  # does nothing while the primary is too busy to answer
        return not services.replica.running

    eventually(is_discarded)
    services.replica.start()
    eventually(lambda: is_replicated(services, mark))


def test_two_replicas_then_one_then_two(directory: Path) -> None:
    """A replica that no longer runs keeps no WAL on the primary, and starts again from a base backup."""

    def slots(services: DataServices) -> list[str]:
        with services.primary.connect() as connection:
            return [name for (name,) in connection.execute("SELECT slot_name FROM pg_replication_slots ORDER BY 1")]

    def are_replicated(services: DataServices, mark: str, urls: list[str]) -> bool:
        return all(is_replicated(services, mark, url) for url in urls)

    for names in (["replica", "replica2"], ["replica"], ["replica", "replica2"]):
        with DataServices(directory, fsync=False, replicas=len(names)) as services:
            assert [replica.name for replica in services.replicas] == names == slots(services)
            urls = services.environment["DATABASE_REPLICA_URLS"].split(",")
            assert urls == [replica.url() for replica in services.replicas]
            mark = write(services)
            eventually(partial(are_replicated, services, mark, urls))


@dataclass
class FirstStart:
    """What a first start left in its directory."""

    directory: Path
    created: bool
    mark: str


@pytest.fixture(scope="module")
def first_start(new_directory: NewDirectory) -> FirstStart:
    """A first start in a deep directory, after an interrupted initdb, and its stop."""
    directory = new_directory() / "/".join(["a-directory-name"] * 10)
    assert len(str(directory)) > 150
    unfinished = StackLayout(directory).new_primary
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with DataServices(directory, fsync=False) as services:
        mark = write(services)
        eventually(lambda: is_replicated(services, mark))
        with services.broker.client() as client:
            client.rpush("queue", "task")
        return FirstStart(directory, services.created, mark)


def test_interrupted_initdb_is_repeated(first_start: FirstStart) -> None:
    assert first_start.created


def test_two_stacks_run_in_parallel(first_start: FirstStart, services: DataServices) -> None:
    assert not is_replicated(services, first_start.mark)


def test_stop_removes_the_record(first_start: FirstStart) -> None:
    assert not StackLayout(first_start.directory).record.exists()


HOLDER = """
import signal, sys
from pathlib import Path
from instafeed.devstack.data_services import DataServices
DataServices(Path(sys.argv[1]), fsync=False).__enter__()
print("up", flush=True)
signal.pause()
"""


def start_and_crash(directory: Path) -> StackRecord:
    """Start a stack, kill its supervisor and servers at once, and return the record that it left."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(directory)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "up\n"
    record = StackRecord.read(StackLayout(directory).record)
    assert record
    # Without a signal before: a server that has the time to stop in order removes its lock file.
    servers = [process for child in record.children.values() for process in process_tree(child)]
    for process in servers:
        process.kill()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    eventually(lambda: all(has_ended(process) for process in servers))
    return record


def test_restart_keeps_the_data_after_damage_to_the_replica_and_a_crash_with_reused_pids(
    first_start: FirstStart,
) -> None:
    directory = first_start.directory
    (directory / "replica" / "global" / "pg_control").unlink()
    record = start_and_crash(directory)
    assert running_environment(directory) is None
    for server in ("primary", "replica"):
        lock = directory / server / "postmaster.pid"
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    record.children["cache"] = ProcessIdentity(os.getpid(), "another time")
    record.write(StackLayout(directory).record)

    with DataServices(directory, fsync=False) as services:
        assert not services.created
        eventually(lambda: is_replicated(services, first_start.mark))
        with services.broker.client() as client:
            assert client.lrange("queue", 0, -1) == [b"task"]
        services.reset()
        eventually(lambda: not is_replicated(services, first_start.mark))


def test_database_of_another_postgres_version_is_refused(directory: Path) -> None:
    (directory / "primary").mkdir()
    (directory / "primary" / "PG_VERSION").write_text("17\n")
    with pytest.raises(StackError, match="no database of PostgreSQL 18"):
        DataServices(directory, fsync=False).__enter__()
    assert (directory / "primary" / "PG_VERSION").read_text() == "17\n"
