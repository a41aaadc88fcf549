"""PostgreSQL 18 from the wheel: a primary and a true streaming replica of it.

* TCP on the loopback address only: the path of a Unix socket may have 107 bytes, a checkout more.
* All settings go on the command line, so a new version of this module or a new port needs no file changed;
  passwords never do (`ps` shows command lines).
* The replica streams through a slot, so the primary keeps what it has not read yet, up to a bound. Beyond
  the bound, or whenever it cannot follow for another reason, the replica starts over from a base backup.
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
from instafeed.devstack.state import DataDirectory, ProcessIdentity, StackError, write_private

DATABASE_NAME = DATABASE_OWNER = "instafeed"
_SUPERUSER = "postgres"
_REPLICATOR = "replicator"
_SLOT_NAME = "replica"
_RECONNECT_TIMEOUT = 20.0
_POLL_CONNECT_TIMEOUT = 2  # seconds, for what is asked again and again

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than any query of a feed
    "max_wal_size": "2GB",
    "max_slot_wal_keep_size": "4GB",
    "max_wal_senders": "4",
    "max_replication_slots": "4",
    "hot_standby_feedback": "on",
    "max_standby_streaming_delay": "5s",  # a long report is cancelled before page reads fall behind
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "500ms",  # how soon the replica is back after the primary was away
    "log_min_duration_statement": "1s",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For a stack that is thrown away. Not synchronous_commit=off: it would change how WAL positions move.
_NO_FSYNC_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class SlotStatus(NamedTuple):
    """What the primary knows of the replica's slot."""

    active: bool
    lost: bool


class PostgresServer(Child):
    """What primary and replica have in common: a directory, a port, three ways to be told to stop."""

    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # fast, then immediate shutdown
    death_signal = signal.SIGINT
    grace = 20.0

    def __init__(self, name: str, layout: DataDirectory, passwords: str, *, fsync: bool) -> None:
        super().__init__(name, layout.log / f"{name}.log")
        self.layout = layout
        self.data: Path = getattr(layout, name)
        self.password = passwords
        self.fsync = fsync
        self.port = free_port()
        self.directory = layout.root  # initdb and pg_basebackup must be able to stand where they start
        self.account: pwd.struct_passwd | None = server_account()
        if self.account is not None:
            self.user, self.group = self.account.pw_uid, self.account.pw_gid
            make_programs_executable()

    def url(self, user: str = DATABASE_OWNER, database: str = DATABASE_NAME) -> str:
        return f"postgresql://{user}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        """As superuser: for tests and the stack itself, never for the application."""
        return self.url(_SUPERUSER, "postgres")

    def connect(self, url: str | None = None, *, timeout: int = 10) -> psycopg.Connection:
        """Autocommit; OperationalError within `timeout` seconds if the server does not answer."""
        return psycopg.connect(url or self.admin_url, autocommit=True, connect_timeout=timeout)

    def accepting(self) -> bool:
        try:
            self.connect(timeout=_POLL_CONNECT_TIMEOUT).close()
        except psycopg.OperationalError:
            return False
        return True

    def ready(self) -> bool:
        return self.running and self.accepting()

    def postgres(self, **more: str) -> list[str]:
        settings = _SETTINGS | ({} if self.fsync else _NO_FSYNC_SETTINGS)
        settings |= {"port": str(self.port), "cluster_name": f"instafeed_{self.name}"} | more
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return [str(POSTGRES_BIN / "postgres"), "-D", str(self.data), *arguments]

    def launch(self) -> None:
        _clear_stale_lock(self.data)
        super().launch()


class Primary(PostgresServer):
    def __init__(self, layout: DataDirectory, password: str, *, fsync: bool = True) -> None:
        super().__init__("primary", layout, password, fsync=fsync)

    def command(self) -> list[str]:
        return self.postgres()

    def initialize(self, sleep: Sleep = time.sleep) -> bool:
        """Makes the cluster if there is none: True. StackError if one of another version is there."""
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
        """The built-in C.UTF-8 sorts by code point, knows upper and lower case in every script, and cannot
        change under an index as the C library's and ICU's collations do."""
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
        """The application's role and database and the replica's role; what is there already stays."""
        with self.connect() as connection:
            # Stretching a password of 300 random bits would only slow every connection down.
            connection.execute("SET scram_iterations = 1")
            for role, rights in ((DATABASE_OWNER, "CREATEDB"), (_REPLICATOR, "REPLICATION")):
                if not _exists(connection, "pg_roles", "rolname", role):
                    statement = sql.SQL(f"CREATE ROLE {{}} LOGIN {rights} PASSWORD {{}}")
                    connection.execute(statement.format(sql.Identifier(role), self.password))
            if not _exists(connection, "pg_database", "datname", DATABASE_NAME):
                connection.execute(f"CREATE DATABASE {DATABASE_NAME} OWNER {DATABASE_OWNER}")
            # What an operator may look at, and how to rehearse a replica that lags.
            connection.execute(f"GRANT pg_monitor TO {DATABASE_OWNER}")
        with self.connect(self.url(_SUPERUSER)) as connection:
            for function in ("pg_wal_replay_pause()", "pg_wal_replay_resume()"):
                connection.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {DATABASE_OWNER}")

    def drop_database(self) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {DATABASE_NAME} WITH (FORCE)")

    def slot(self) -> SlotStatus | None:
        """The replica's slot; None if there is none. OperationalError if the primary does not answer."""
        query = "SELECT active, wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s"
        with self.connect(timeout=_POLL_CONNECT_TIMEOUT) as connection:
            row = connection.execute(query, [_SLOT_NAME]).fetchone()
        return SlotStatus(*row) if row else None

    def drop_slot(self) -> None:
        """Also from under a WAL sender that has not noticed yet that its replica is dead."""
        with self.connect() as connection:
            slots = "FROM pg_replication_slots WHERE slot_name = %s"
            connection.execute("SELECT pg_terminate_backend(active_pid, 2000) " + slots, [_SLOT_NAME])
            connection.execute("SELECT pg_drop_replication_slot(slot_name) " + slots, [_SLOT_NAME])


class Replica(PostgresServer):
    """Follows the primary; starts from a base backup when its directory does not hold a complete one."""

    def __init__(self, primary: Primary) -> None:
        super().__init__("replica", primary.layout, primary.password, fsync=primary.fsync)
        self.primary = primary
        self._fruitless_starts = 0
        self._waiting_since: float | None = None

    def command(self) -> list[str]:
        server = self.postgres(primary_conninfo=self._upstream(), primary_slot_name=_SLOT_NAME)
        if self._complete():
            return server
        backup = [
            *(str(POSTGRES_BIN / "pg_basebackup"), "--pgdata", str(self.data), "--dbname", self._upstream()),
            *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"),
            *("--create-slot", "--slot", _SLOT_NAME),
            *(() if self.fsync else ("--no-sync",)),
        ]
        return ["sh", "-c", f"{shlex.join(backup)} && exec {shlex.join(server)}"]

    def launch(self) -> None:
        """Twice started in vain: what it has may be damaged, so it is given up for a new base backup."""
        if self._fruitless_starts >= 2 and self.primary.accepting():
            self.discard()
        write_private(self.layout.passfile, f"127.0.0.1:*:*:{_REPLICATOR}:{self.password}\n")
        chown_to_account(self.layout.passfile, self.account)
        if not self._complete():
            self._make_room()
        self._fruitless_starts += 1
        self._waiting_since = None
        super().launch()

    def ready(self) -> bool:
        """Connected to the primary and answering queries."""
        try:
            slot = self.primary.slot()
        except psycopg.OperationalError:
            return False
        if slot is None or not slot.active or not super().ready():
            return False
        self._fruitless_starts = 0
        return True

    def mend(self) -> None:
        """Ends a replica that can never follow again, after which its next start takes a base backup.

        That is when the primary no longer keeps what it has not read, and when it answers queries but
        has not been connected for a while although the primary is there (a history of its own).
        """
        try:
            slot = self.primary.slot()
        except psycopg.OperationalError:
            return
        if not self._complete() or not self.running:
            return
        if slot is None or slot.lost or self._waits_in_vain(slot):
            self.discard()

    def discard(self) -> None:
        self.kill()
        with suppress(FileNotFoundError):
            (self.data / "backup_manifest").unlink()
        self._fruitless_starts = 0

    def _waits_in_vain(self, slot: SlotStatus) -> bool:
        if slot.active or not self.accepting():
            self._waiting_since = None
            self._fruitless_starts = 0 if slot.active else self._fruitless_starts
            return False
        self._waiting_since = self._waiting_since or time.monotonic()
        return time.monotonic() - self._waiting_since > _RECONNECT_TIMEOUT

    def _upstream(self) -> str:
        return make_conninfo(
            host="127.0.0.1", port=self.primary.port, user=_REPLICATOR, passfile=str(self.layout.passfile)
        )

    def _complete(self) -> bool:
        """pg_basebackup gives the manifest its name last of all."""
        return (self.data / "backup_manifest").exists() and (self.data / "standby.signal").exists()

    def _make_room(self) -> None:
        """The primary is asked first: while it is away, an old replica is better than none."""
        try:
            self.primary.drop_slot()
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
