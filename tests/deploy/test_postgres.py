"""deploy/postgres/ on a real primary and replica: permissions, and how the replica recovers."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from instafeed.devstack.postgres_wheel import POSTGRES_BIN
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy import compose_file
from tests.deploy.postgres_server import ComposePostgres, returns_count, slot, stopped_watching
from tests.support.eventually import eventually
from tests.support.processes import manage, manage_output

pytestmark = [pytest.mark.xdist_group("deploy_postgres"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def primary(postgres_root: Path) -> Iterator[ComposePostgres]:
    server = ComposePostgres("postgres", postgres_root)
    try:
        server.start(240)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def _replica(primary: ComposePostgres, postgres_root: Path) -> Iterator[ComposePostgres]:
    server = ComposePostgres(
        "postgres-replica", postgres_root, PRIMARY_HOST="127.0.0.1", PRIMARY_PORT=str(primary.port), REPLICA_WATCH="1"
    )
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def replica(_replica: ComposePostgres) -> ComposePostgres:
    """A running replica."""
    if not _replica.running:
        _replica.start(240)
    return _replica


@pytest.fixture
def written(primary: ComposePostgres) -> Iterator[str]:
    """A table with one row."""
    with primary.connect() as connection:
        connection.execute("CREATE TABLE written AS SELECT 1 AS number")
    yield "SELECT count(*) FROM written"
    with primary.connect() as connection:
        connection.execute("DROP TABLE written")


def services_with(database_url: str) -> dict[str, str]:
    """The environment of a command that uses this database and no Redis."""
    services = {"REDIS_URL": "redis://127.0.0.1:1/0", "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
    secret = "a-secret-that-is-long-enough-and-signs-nothing-at-all"
    return {"DATABASE_URL": database_url, "SECRET_KEY": secret, **services}


# --- Permissions --------------------------------------------------------------------------------------


def test_application_role_has_no_special_rights(primary: ComposePostgres) -> None:
    rights = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    rights = f"SELECT {rights} FROM pg_roles WHERE rolname = current_user"
    assert primary.ask(rights) == (False,) * 5
    assert primary.ask(
        "SELECT pg_has_role('pg_monitor', 'member'), pg_has_role('pg_write_server_files', 'member')"
    ) == (
        True,
        False,
    )
    for forbidden in ("COPY (SELECT 1) TO PROGRAM 'true'", "CREATE DATABASE other", "ALTER SYSTEM SET jit = on"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            primary.ask(forbidden)


def test_application_role_can_migrate(primary: ComposePostgres) -> None:
    """Migrations need more rights than anything else."""
    url = f"postgresql://instafeed:{compose_file.SECRETS['POSTGRES_PASSWORD']}@127.0.0.1:{primary.port}/instafeed"
    migrated = manage("migrate", "--noinput", environment=services_with(url), timeout=240)
    assert migrated.returncode == 0, migrated.stderr
    assert primary.ask("SELECT count(*) FROM feeds_fanout") == (0,)


def test_replicator_cannot_query(primary: ComposePostgres) -> None:
    for database in ("instafeed", "postgres"):
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf"):
            primary.ask("SELECT 1", "replicator", dbname=database)


def test_superuser_may_connect_locally_with_a_password_only(primary: ComposePostgres) -> None:
    assert primary.ask("SHOW server_version_num", "postgres", dbname="postgres") >= ("180000",)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=primary.port, user="postgres", dbname="postgres", password="")
    rules = "SELECT type, user_name, address, auth_method FROM pg_hba_file_rules WHERE error IS NULL"
    with primary.connect("postgres", dbname="postgres") as connection:
        found = [rule for rule in connection.execute(rules).fetchall() if "postgres" in rule[1] and rule[0] == "host"]
        assert [(address, method) for _, _, address, method in found] == [
            ("127.0.0.1", "scram-sha-256"),
            ("::1", "scram-sha-256"),
            ("all", "reject"),
        ]
        methods = "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
        assert {row[0] for row in connection.execute(methods)} == {"scram-sha-256", "reject"}


def test_configuration_file_is_used(primary: ComposePostgres) -> None:
    assert primary.ask("SHOW max_slot_wal_keep_size") == ("4GB",)
    assert primary.ask("SHOW password_encryption") == ("scram-sha-256",)
    assert primary.ask("SHOW wal_compression") == ("pglz",)
    # The command line of these tests overrides listen_addresses.
    wrong = "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL AND name <> 'listen_addresses'"
    assert primary.ask(wrong, "postgres") == (0,)
    collation = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'instafeed'"
    assert primary.ask(collation) == ("b", "C.UTF-8")


# --- The replica -------------------------------------------------------------------------------------


def test_replica_streams_through_its_slot(primary: ComposePostgres, replica: ComposePostgres, written: str) -> None:
    eventually(lambda: slot(primary) == (True, "reserved"))
    eventually(lambda: returns_count(replica, written, 1))
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        replica.ask("DELETE FROM written")
    for server in (primary, replica):
        assert not any(secret in line for line in command_lines(server) for secret in compose_file.SECRETS.values())


def command_lines(server: ComposePostgres) -> list[str]:
    """Return those of the server and its scripts, without processes that have just ended."""
    lines = []
    for process in server.tree():
        with suppress(psutil.NoSuchProcess):
            lines.append(" ".join(process.cmdline()))
    assert lines
    return lines


def test_primary_outage_needs_no_new_backup(primary: ComposePostgres, replica: ComposePostgres, written: str) -> None:
    eventually(lambda: returns_count(replica, written, 1))
    backup = (replica.data / "backup_manifest").stat().st_ino
    primary.stop()
    try:
        replica.stop()
        replica.start(240)  # without a primary
        assert replica.ask(written) == (1,)
    finally:
        primary.start(240)
    with primary.connect() as connection:
        connection.execute("INSERT INTO written VALUES (2)")
    eventually(lambda: returns_count(replica, written, 2))
    assert (replica.data / "backup_manifest").stat().st_ino == backup


def test_lost_slot_is_repaired_by_a_new_backup(
    primary: ComposePostgres, replica: ComposePostgres, written: str
) -> None:
    eventually(lambda: returns_count(replica, written, 1))
    replica.stop()
    with primary.connect("postgres") as superuser:
        superuser.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        superuser.execute("SELECT pg_reload_conf()")
        while slot(primary) != (False, "lost"):
            superuser.execute("INSERT INTO written SELECT 1")
            superuser.execute("SELECT pg_switch_wal()")
            superuser.execute("CHECKPOINT")
        superuser.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        superuser.execute("SELECT pg_reload_conf()")
    (rows,) = primary.ask(written)
    replica.start(240)
    eventually(lambda: returns_count(replica, written, rows))
    eventually(lambda: slot(primary) == (True, "reserved"))
    assert sorted(path.name for path in replica.data.parent.iterdir()) == ["docker", "docker.old"]


def test_interrupted_backup_is_repeated(replica: ComposePostgres, written: str) -> None:
    """The first backup is killed before it is renamed."""
    replica.stop()
    shutil.rmtree(replica.data)
    unfinished = replica.data.with_name("docker.new")
    with replica.holding("mv"):
        replica.launch()
        eventually((unfinished / "PG_VERSION").exists)
        replica.kill()
    assert unfinished.exists()
    assert not replica.data.exists()
    replica.start(240)
    assert not unfinished.exists()
    eventually(lambda: returns_count(replica, written, 1))


def test_replaced_empty_primary_is_not_followed(
    primary: ComposePostgres, replica: ComposePostgres, written: str
) -> None:
    """Its backup would overwrite the last good copy."""
    eventually(lambda: returns_count(replica, written, 1))
    primary.stop()
    aside = primary.data.with_name("aside")
    primary.data.rename(aside)
    try:
        primary.start(240)
        eventually(lambda: "has another system identifier" in replica.log.read_text())
        eventually(lambda: returns_count(replica, written, 1))
    finally:
        primary.stop()
        shutil.rmtree(primary.data)
        aside.rename(primary.data)
        primary.start(240)


def test_stop_during_the_start_reaches_the_server(replica: ComposePostgres) -> None:
    """A command in the background of a shell ignores SIGINT until it sets its own handler."""
    replica.stop()
    with replica.holding("postgres"):
        replica.launch()
        replica.wait_until_held("postgres")
        replica.stop()
    assert replica.poll() == 0, "it was not killed after its grace period"


def promote(primary: ComposePostgres, replica: ComposePostgres) -> None:
    """Promote the replica and drop its slot, as after a failover."""
    with replica.connect("postgres", dbname="postgres") as superuser:
        assert superuser.execute("SELECT pg_promote()").fetchone() == (True,)
    eventually(lambda: slot(primary) == (False, "reserved"))
    with primary.connect("postgres") as superuser:
        superuser.execute("SELECT pg_drop_replication_slot('replica')")
    with replica.connect() as connection:
        connection.execute("CREATE TABLE after_promotion (id int)")


@pytest.fixture
def promotable(primary: ComposePostgres, replica: ComposePostgres) -> Iterator[ComposePostgres]:
    """A replica that may be promoted. The next test gets a new one."""
    eventually(lambda: slot(primary) == (True, "reserved"))
    yield replica
    replica.stop()
    shutil.rmtree(replica.data)


def test_promoted_replica_keeps_its_data(primary: ComposePostgres, promotable: ComposePostgres) -> None:
    """It is a primary now, even though its slot on the old primary is lost."""
    before = stopped_watching(promotable)
    promote(primary, promotable)
    eventually(lambda: stopped_watching(promotable) == before + 1)
    promotable.stop()
    promotable.start(240)
    eventually(lambda: stopped_watching(promotable) == before + 2)
    assert promotable.ask("SELECT count(*) FROM after_promotion") == (0,)


def test_promotion_during_a_check_keeps_the_data(primary: ComposePostgres, promotable: ComposePostgres) -> None:
    """The check began with a replica, and then finds no slot."""
    before = stopped_watching(promotable)
    with promotable.holding("psql"):
        promotable.wait_until_held("psql")
        promote(primary, promotable)
    eventually(lambda: stopped_watching(promotable) == before + 1)
    assert promotable.ask("SELECT count(*) FROM after_promotion") == (0,)


# --- Clients of the primary ------------------------------------------------------------------------------


def run_client(server: ComposePostgres, *command: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in the environment of the service `primary`, on one server."""
    environment = compose_file.services()["primary"]["environment"]
    return subprocess.run(
        command,
        env={"PATH": f"{POSTGRES_BIN}:{os.environ['PATH']}", **environment, "PGHOST": "127.0.0.1"}
        | {"PGPORT": str(server.port)}
        | more,
        capture_output=True,
        timeout=200,
    )


def test_backup_refuses_a_server_that_is_not_the_primary(primary: ComposePostgres, replica: ComposePostgres) -> None:
    dumped = run_client(primary, "pg_dump", "--format=custom")
    assert (dumped.returncode, dumped.stdout[:5]) == (0, b"PGDMP")
    refused = run_client(replica, "pg_dump", "--format=custom")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"standby" in refused.stderr


def test_failover_begins_with_a_check_of_the_replica(primary: ComposePostgres, replica: ComposePostgres) -> None:
    """The commands of the runbook are one chain, whose first command fails unless the server is a standby."""
    page = (PROJECT_ROOT / "docs" / "runbook.md").read_text()
    section = page[page.index("### PrimaryDown") :].partition("###")[2].partition("\n### ")[0]
    of_docker = section.partition("promote the replica")[2].partition("\nBy hand")[0]
    commands = re.findall(r"^    (.+?)(?: +#.*)?$", of_docker, re.MULTILINE)
    assert [command.endswith("&&") for command in commands] == [True] * (len(commands) - 1) + [False]
    check = shlex.split(commands[0].removesuffix("&&"))
    assert check[-8:-4] == ["-e", "PGHOST=postgres-replica", "-e", "PGTARGETSESSIONATTRS=standby"]
    assert check[-4] == "primary"
    for server, status in ((replica, 0), (primary, 2)):
        assert run_client(server, *check[-3:], PGTARGETSESSIONATTRS="standby").returncode == status


def test_health_is_down_if_the_primary_is_a_standby(primary: ComposePostgres, replica: ComposePostgres) -> None:
    """As between the two halves of a failover, or with the wrong server in DATABASE_URL."""
    code = "from instafeed.core.monitoring.health import probe_database; print(probe_database()['status'])"
    for server, status in ((primary, "ok"), (replica, "down")):
        url = f"postgresql://instafeed:{compose_file.SECRETS['POSTGRES_PASSWORD']}@127.0.0.1:{server.port}/instafeed"
        assert manage_output("shell", "-v", "0", "-c", code, environment=services_with(url)).strip() == status


def test_service_primary_ends_when_the_primary_answers(primary: ComposePostgres) -> None:
    assert run_client(primary, *compose_file.services()["primary"]["command"]).returncode == 0
