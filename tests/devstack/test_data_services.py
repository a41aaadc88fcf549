"""The data services are what they claim to be: a streaming replica, a cache, a broker, all private."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from instafeed.devstack.child_process import terminate_leftover
from instafeed.devstack.data_services import DataServices
from instafeed.devstack.state import DataDirectory, ProcessIdentity, StackError, StackRecord, running_environment
from tests.devstack.conftest import NewDirectory
from tests.eventually import eventually


def write(services: DataServices) -> str:
    """Commits something on the primary, as the application's role; returns it."""
    mark = uuid.uuid4().hex
    with services.primary.connect(services.primary.url()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS marks (mark text)")
        connection.execute("INSERT INTO marks VALUES (%s)", [mark])
    return mark


def sees(services: DataServices, mark: str) -> bool:
    try:
        with services.replica.connect(services.replica.url()) as connection:
            return connection.execute("SELECT 1 FROM marks WHERE mark = %s", [mark]).fetchone() is not None
    except psycopg.Error:
        return False


def test_the_replica_streams_from_the_primary(services: DataServices) -> None:
    with services.primary.connect() as connection:
        states = connection.execute("SELECT application_name, state FROM pg_stat_replication").fetchall()
    assert states == [("instafeed_replica", "streaming")]
    mark = write(services)
    eventually(lambda: sees(services, mark))


def test_the_replica_refuses_writes(services: DataServices) -> None:
    with (
        services.replica.connect(services.replica.url()) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TABLE anything (id int)")


def test_the_application_is_no_superuser(services: DataServices) -> None:
    with services.primary.connect(services.primary.url()) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False,)


def test_text_sorts_by_code_point_and_has_case_in_every_script(services: DataServices) -> None:
    with services.primary.connect(services.primary.url()) as connection:
        row = connection.execute("SELECT 'a' > 'B', lower('ŽÄ'), pg_client_encoding()").fetchone()
    assert row == (True, "žä", "UTF8")


def test_the_cache_forgets_and_the_broker_does_not(services: DataServices) -> None:
    def setting(url: str, name: str) -> str:
        with redis.Redis.from_url(url, decode_responses=True) as client:
            return str(client.config_get(name)[name])

    assert setting(services.cache.url, "maxmemory-policy") == "allkeys-lfu"
    assert setting(services.cache.url, "appendonly") == "no"
    assert setting(services.broker.url, "maxmemory-policy") == "noeviction"
    assert setting(services.broker.url, "appendonly") == "yes"


def test_nobody_gets_in_without_the_password(services: DataServices) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=services.cache.port, retry=Retry(NoBackoff(), 0)).ping()
    with pytest.raises(psycopg.OperationalError, match="password"):
        services.primary.connect(services.primary.url().replace(services.primary.password, "guess"))


def test_no_password_shows_in_the_list_of_processes(services: DataServices) -> None:
    shown = " ".join(word for child in services.children for word in child.tree()[0].cmdline())
    assert services.primary.password not in shown
    assert services.cache.password not in shown


def test_the_record_is_private_and_leads_to_the_services(services: DataServices) -> None:
    assert running_environment(services.layout.root) == services.environment
    assert services.layout.record.stat().st_mode & 0o077 == 0


def test_a_second_stack_on_the_same_directory_is_refused(services: DataServices) -> None:
    with pytest.raises(StackError, match="already runs"):
        DataServices(services.layout.root).__enter__()
    assert running_environment(services.layout.root) == services.environment


def test_a_frozen_replica_catches_up(services: DataServices) -> None:
    services.replica.pause()
    mark = write(services)
    services.replica.resume()
    eventually(lambda: sees(services, mark))


def test_a_killed_server_comes_back_to_its_port(services: DataServices) -> None:
    port = services.replica.port
    services.replica.kill()
    mark = write(services)
    services.replica.start()
    assert services.replica.port == port
    eventually(lambda: sees(services, mark))


def test_a_replica_that_was_killed_often_keeps_its_data(services: DataServices) -> None:
    backup = services.replica.data / "backup_manifest"
    made = backup.stat().st_mtime_ns
    for _ in range(3):
        services.replica.kill()
        services.replica.start()
    assert backup.stat().st_mtime_ns == made


def test_a_replica_whose_log_is_gone_starts_over(services: DataServices) -> None:
    services.replica.stop()
    services.primary.drop_slot()
    mark = write(services)
    services.replica.launch()

    def given_up() -> bool:
        services.replica.mend()  # looks away while the primary is too busy to answer
        return not services.replica.running

    eventually(given_up)
    services.replica.start()
    eventually(lambda: sees(services, mark))


def test_a_restarted_stack_keeps_its_data_and_mends_a_damaged_replica(directory: Path) -> None:
    with DataServices(directory, fsync=False) as services:
        assert services.created
        mark = write(services)
        with services.broker.client() as client:
            client.rpush("queue", "task")
    assert not DataDirectory(directory).record.exists()
    (directory / "replica" / "global" / "pg_control").unlink()

    with DataServices(directory, fsync=False) as services:
        assert not services.created
        eventually(lambda: sees(services, mark))
        with services.broker.client() as client:
            assert client.lrange("queue", 0, -1) == [b"task"]
        services.reset()
        eventually(lambda: not sees(services, mark))


def test_two_stacks_run_side_by_side_and_a_deep_directory_is_no_problem(
    services: DataServices, directory: Path
) -> None:
    deep = directory / "/".join(["a-directory-name"] * 10)
    assert len(str(deep)) > 150
    with DataServices(deep, fsync=False) as other:
        mark = write(other)
        eventually(lambda: sees(other, mark))
        assert not sees(services, mark)


HOLDER = """
import sys, time
from pathlib import Path
from instafeed.devstack.data_services import DataServices
DataServices(Path(sys.argv[1])).__enter__()
print("up", flush=True)
time.sleep(60)
"""


def crashed(directory: Path) -> StackRecord:
    """A stack whose supervisor and servers were all killed at once; what it left on record."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(directory)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "up\n"
    record = StackRecord.read(DataDirectory(directory).record)
    assert record
    for child in record.children.values():
        terminate_leftover(child, grace=0)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    return record


def test_after_a_crash_it_starts_again_even_if_the_pids_belong_to_others_now(directory: Path) -> None:
    record = crashed(directory)
    assert running_environment(directory) is None
    for server in ("primary", "replica"):
        lock = directory / server / "postmaster.pid"
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    record.children["cache"] = ProcessIdentity(os.getpid(), "another time")
    record.write(DataDirectory(directory).record)

    with DataServices(directory, fsync=False) as services:
        mark = write(services)
        eventually(lambda: sees(services, mark))


def test_an_interrupted_initdb_begins_again(new_directory: NewDirectory) -> None:
    directory = new_directory()
    (directory / "primary.new").mkdir()
    (directory / "primary.new" / "PG_VERSION").write_text("18\n")
    with DataServices(directory, fsync=False) as services:
        assert services.created


def test_a_database_of_another_version_is_refused(directory: Path) -> None:
    (directory / "primary").mkdir()
    (directory / "primary" / "PG_VERSION").write_text("17\n")
    with pytest.raises(StackError, match="no database of PostgreSQL 18"):
        DataServices(directory, fsync=False).__enter__()
    assert (directory / "primary" / "PG_VERSION").read_text() == "17\n"
