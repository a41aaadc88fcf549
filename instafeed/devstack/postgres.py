"""PostgreSQL 18 from the wheel: a primary and its streaming replicas.

* All listen on the loopback address only. A Unix socket's path may have 107 bytes at most, too few for a checkout.
* All settings are command-line options, so a new port or a new version of this module changes no file. Passwords are
  not, as `ps` shows command lines.
* A replica streams through a slot: the primary keeps the WAL that the replica has not read, up to a limit. If the
  replica falls behind that limit, or cannot follow for another reason, it starts again from a base backup.
"""

from __future__ import annotations

import pwd
import shlex
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from instafeed.devstack.child_process import Child, Program, Sleep, terminate_leftover
from instafeed.devstack.ports import free_port
from instafeed.devstack.postgres_wheel import (
    POSTGRES_BIN,
    POSTGRES_VERSION,
    chown_to_account,
    make_directory,
    make_programs_executable,
    server_account,
)
from instafeed.devstack.state import ProcessIdentity, StackError, StackLayout, write_private

DATABASE_NAME = DATABASE_OWNER = "instafeed"
_SUPERUSER = "postgres"
_REPLICATOR = "replicator"
_RECONNECT_TIMEOUT = 20.0
_POLL_CONNECT_TIMEOUT = 2  # seconds, for repeated checks

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # For solid-state disks, and data in memory. With the default 4, the ranking of explore reads all counters of a site
    # with a million users, and the count of unread notifications reads a third more pages.
    "random_page_cost": "1.1",
    "jit": "off",  # compiling takes longer than any of our queries
    # 96 % of the WAL of likes are images of pages that change for the first time after a checkpoint: 27 kB a like, and
    # 7 kB after 16,000 likes. So checkpoints are rare, and the images compressed, which halves them. Not every build
    # of PostgreSQL has a better method than pglz.
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "wal_compression": "pglz",
    "max_slot_wal_keep_size": "4GB",
    # For each replica one stream, and two for a moment while it takes its base backup.
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "hot_standby_feedback": "on",
    "max_standby_streaming_delay": "5s",  # cancel long queries before replication lags too far
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "500ms",  # bounds the replica's delay after a restart of the primary
    "log_min_duration_statement": "1s",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For throw-away stacks. Not synchronous_commit=off, which would change how WAL positions advance.
_NO_FSYNC_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class SlotStatus(NamedTuple):
    """The state of a replica's slot on the primary."""

    active: bool
    lost: bool


class PostgresServer(Child):
    """Common parts of primary and replica: directory, port, signals, connections."""

    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # fast, then immediate shutdown
    death_signal = signal.SIGINT
    grace = 20.0

    def __init__(self, name: str, layout: StackLayout, password: str, *, fsync: bool) -> None:
        super().__init__(name, layout.log / f"{name}.log")
        self.layout = layout
        self.data: Path = layout.root / name
        self.password = password
        self.fsync = fsync
        self.port = free_port()
        self.directory = layout.root  # initdb and pg_basebackup need a readable working directory
        self.account: pwd.struct_passwd | None = server_account()
        if self.account is not None:
            self.user, self.group = self.account.pw_uid, self.account.pw_gid
            make_programs_executable()

    def url(self, user: str = DATABASE_OWNER, database: str = DATABASE_NAME) -> str:
        return f"postgresql://{user}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        """The superuser's URL, for tests and the stack itself, not for the application."""
        return self.url(_SUPERUSER, "postgres")

    def connect(self, url: str | None = None, *, timeout: int = 10) -> psycopg.Connection:
        """Connect with autocommit. Raises OperationalError within `timeout` seconds if the server does not answer."""
        return psycopg.connect(url or self.admin_url, autocommit=True, connect_timeout=timeout)

    def accepting(self) -> bool:
        try:
            self.connect(timeout=_POLL_CONNECT_TIMEOUT).close()
        except psycopg.OperationalError:
            return False
        return True

    def ready(self) -> bool:
        return self.running and self.accepting()

    def postgres(self, **overrides: str) -> list[str]:
        """Return the server's command line, with these settings overridden."""
        settings = _SETTINGS | ({} if self.fsync else _NO_FSYNC_SETTINGS)
        settings |= {"port": str(self.port), "cluster_name": f"instafeed_{self.name}"} | overrides
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return [str(POSTGRES_BIN / "postgres"), "-D", str(self.data), *arguments]

    def launch(self) -> None:
        _clear_stale_lock(self.data)
        super().launch()


class Primary(PostgresServer):
    def __init__(self, layout: StackLayout, password: str, *, fsync: bool) -> None:
        super().__init__("primary", layout, password, fsync=fsync)

    def command(self) -> list[str]:
        return self.postgres()

    def initialize(self, sleep: Sleep = time.sleep) -> bool:
        """Create the cluster if there is none, and return whether it did. Raises StackError for another version's."""
        version = self.data / "PG_VERSION"
        if self.data.exists():
            if not version.exists() or version.read_text().strip() != str(POSTGRES_VERSION):
                raise StackError(f"{self.data} holds no database of PostgreSQL {POSTGRES_VERSION}")
            return False
        unfinished = self.layout.new_primary
        shutil.rmtree(unfinished, ignore_errors=True)
        make_directory(unfinished, self.account)
        self._initdb(unfinished, sleep)
        unfinished.rename(self.data)
        return True

    def _initdb(self, data: Path, sleep: Sleep) -> None:
        """Run initdb with the built-in locale C.UTF-8.

        It sorts by code point and knows upper and lower case in every script. An upgrade cannot change it under an
        index, unlike the collations of the C library and ICU.
        """
        password = self.layout.initdb_password
        write_private(password, self.password)
        chown_to_account(password, self.account)
        command = [
            *(str(POSTGRES_BIN / "initdb"), "--pgdata", str(data), "--pwfile", str(password)),
            *("--username", _SUPERUSER, "--auth-host=scram-sha-256", "--auth-local=reject"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(() if self.fsync else ("--no-sync",)),
        ]
        program = Program("initdb", self.layout.log / "initdb.log", command)
        program.directory, program.user, program.group = self.directory, self.user, self.group
        program.on_launch = self.on_launch
        try:
            program.run(sleep)
        finally:
            password.unlink()

    def ensure_database(self) -> None:
        """Create the application's role and database and the replicas' role, unless they exist."""
        with self.connect() as connection:
            # More iterations would only slow down connections: the password has 300 random bits.
            connection.execute("SET scram_iterations = 1")
            for role, rights in ((DATABASE_OWNER, "CREATEDB"), (_REPLICATOR, "REPLICATION")):
                if not _exists(connection, "pg_roles", "rolname", role):
                    statement = sql.SQL(f"CREATE ROLE {{}} LOGIN {rights} PASSWORD {{}}")
                    connection.execute(statement.format(sql.Identifier(role), self.password))
            if not _exists(connection, "pg_database", "datname", DATABASE_NAME):
                connection.execute(f"CREATE DATABASE {DATABASE_NAME} OWNER {DATABASE_OWNER}")
            # For operators: monitoring views, and functions to rehearse replication lag.
            connection.execute(f"GRANT pg_monitor TO {DATABASE_OWNER}")
        with self.connect(self.url(_SUPERUSER)) as connection:
            for function in ("pg_wal_replay_pause()", "pg_wal_replay_resume()"):
                connection.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {DATABASE_OWNER}")

    def drop_database(self) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {DATABASE_NAME} WITH (FORCE)")

    def slot(self, name: str) -> SlotStatus | None:
        """Return a replica's slot, or None if it does not exist. Raises OperationalError if the primary is down."""
        query = "SELECT active, wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s"
        with self.connect(timeout=_POLL_CONNECT_TIMEOUT) as connection:
            row = connection.execute(query, [name]).fetchone()
        return SlotStatus(*row) if row else None

    def drop_slot(self, name: str) -> None:
        """Drop a replica's slot, even if a WAL sender has not noticed yet that the replica is dead."""
        with self.connect() as connection:
            slots = "FROM pg_replication_slots WHERE slot_name = %s"
            connection.execute("SELECT pg_terminate_backend(active_pid, 2000) " + slots, [name])
            connection.execute("SELECT pg_drop_replication_slot(slot_name) " + slots, [name])

    def drop_other_slots(self, names: list[str]) -> None:
        """Drop the slots of replicas that no longer run: they would keep WAL for them."""
        query = "SELECT slot_name FROM pg_replication_slots WHERE slot_name <> ALL(%s)"
        with self.connect() as connection:
            others = connection.execute(query, [names]).fetchall()
        for (name,) in others:
            self.drop_slot(name)


class Replica(PostgresServer):
    """A streaming replica. It starts from a base backup unless its directory holds a complete one.

    Its name is also its slot's. The first one is `replica`, the second `replica2`.
    """

    def __init__(self, primary: Primary, number: int = 1) -> None:
        super().__init__(StackLayout.replica_name(number), primary.layout, primary.password, fsync=primary.fsync)
        self.primary = primary
        self._failed_starts = 0
        self._disconnected_since: float | None = None

    def command(self) -> list[str]:
        server = self.postgres(primary_conninfo=self._upstream(), primary_slot_name=self.name)
        if self._has_backup():
            return server
        backup = [
            *(str(POSTGRES_BIN / "pg_basebackup"), "--pgdata", str(self.data), "--dbname", self._upstream()),
            *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"),
            *("--create-slot", "--slot", self.name),
            *(() if self.fsync else ("--no-sync",)),
        ]
        return ["sh", "-c", f"{shlex.join(backup)} && exec {shlex.join(server)}"]

    def launch(self) -> None:
        """Start it. After two failed starts its data may be damaged, so it takes a new base backup."""
        if self._failed_starts >= 2 and self.primary.accepting():
            self.discard()
        write_private(self.layout.passfile, f"127.0.0.1:*:*:{_REPLICATOR}:{self.password}\n")
        chown_to_account(self.layout.passfile, self.account)
        if not self._has_backup():
            self._prepare_for_backup()
        self._failed_starts += 1
        self._disconnected_since = None
        super().launch()

    def ready(self) -> bool:
        """Return whether it is connected to the primary and answers queries."""
        try:
            slot = self.primary.slot(self.name)
        except psycopg.OperationalError:
            return False
        if slot is None or not slot.active or not super().ready():
            return False
        self._failed_starts = 0
        return True

    def mend(self) -> None:
        """Kill a replica that can no longer follow. Its next start takes a base backup.

        This is the case when the primary no longer has the WAL that the replica needs. It is also assumed when the
        replica answers queries but has been disconnected for a while although the primary is up (a diverged timeline).
        """
        try:
            slot = self.primary.slot(self.name)
        except psycopg.OperationalError:
            return
        if not self._has_backup() or not self.running:
            return
        if slot is None or slot.lost or self._cannot_connect(slot):
            self.discard()

    def discard(self) -> None:
        """Kill the replica and mark its data as incomplete."""
        self.kill()
        with suppress(FileNotFoundError):
            (self.data / "backup_manifest").unlink()
        self._failed_starts = 0

    def _cannot_connect(self, slot: SlotStatus) -> bool:
        if slot.active or not self.accepting():
            self._disconnected_since = None
            self._failed_starts = 0 if slot.active else self._failed_starts
            return False
        self._disconnected_since = self._disconnected_since or time.monotonic()
        return time.monotonic() - self._disconnected_since > _RECONNECT_TIMEOUT

    def _upstream(self) -> str:
        return make_conninfo(
            host="127.0.0.1", port=self.primary.port, user=_REPLICATOR, passfile=str(self.layout.passfile)
        )

    def _has_backup(self) -> bool:
        """Return whether the base backup is complete: pg_basebackup renames the manifest last."""
        return (self.data / "backup_manifest").exists() and (self.data / "standby.signal").exists()

    def _prepare_for_backup(self) -> None:
        """Drop the slot, then the old data: if the primary is down, the old data must stay."""
        try:
            self.primary.drop_slot(self.name)
        except psycopg.Error as error:
            raise StackError(f"no base backup without the primary: {str(error).strip()}") from None
        shutil.rmtree(self.data, ignore_errors=True)
        make_directory(self.data, self.account)


def _exists(connection: psycopg.Connection, catalog: str, column: str, name: str) -> bool:
    query = sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(sql.Identifier(catalog), sql.Identifier(column))
    return connection.execute(query, [name]).fetchone() is not None


def _clear_stale_lock(data: Path) -> None:
    """Lets a server start again after a crash. Call it only while holding the directory's lock.

    PostgreSQL refuses to start if the pid in its lock file belongs to *any* process of the same user, and
    after a crash the system may have given that pid away. A process that really is the old server is
    ended; any other means that the file is stale.
    """
    lock = data / "postmaster.pid"
    try:
        process = psutil.Process(int(lock.read_text().splitlines()[0]))
        if process.name() == "postgres" and str(data) in process.cmdline():
            terminate_leftover(ProcessIdentity.of(process.pid))
        lock.unlink(missing_ok=True)
    except (FileNotFoundError, psutil.NoSuchProcess):
        return
    except (ValueError, IndexError):
        lock.unlink()
