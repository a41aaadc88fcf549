"""PostgreSQL 18 from the wheel, started like the image in docker-compose.yml.

It uses the same scripts, files, arguments and environment, but loopback addresses and directories instead of a network
and volumes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from instafeed.devstack.child_process import Program
from instafeed.devstack.ports import free_port
from instafeed.devstack.postgres_wheel import (
    POSTGRES_BIN,
    chown_to_account,
    make_parents_traversable,
    make_programs_executable,
    server_account,
)
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy import compose_file
from tests.support.eventually import eventually

ENTRYPOINT = PROJECT_ROOT / "deploy" / "loopback" / "docker-entrypoint.sh"
_PATH = f"{POSTGRES_BIN}:{os.environ['PATH']}"
_HELD_PROGRAMS = ("mv", "postgres", "psql")
_WRAPPER = """#!/bin/sh
while [ -e "$0.hold" ]; do
    touch "$0.waits"
    sleep 0.05
done
exec {program} "$@"
"""


class ComposePostgres(Program):
    """`postgres` or `postgres-replica` of the compose file, in its own directory."""

    stop_signals = (signal.SIGINT,)  # the containers' stop_signal
    grace = 60.0

    def __init__(self, name: str, root: Path, **environment: str) -> None:
        self.service: dict[str, Any] = compose_file.services()[name]
        self.port = free_port()
        self.root = root / name
        self.root.mkdir()
        self.data = self.root / "18" / "docker"
        self.programs = self.root / "bin"
        self._wrap_programs()
        account = server_account()
        if account is not None:
            chown_to_account(self.root, account)
            chown_to_account(self.programs, account)
            make_parents_traversable(PROJECT_ROOT / "deploy" / "postgres")
            make_programs_executable()
        mounted = compose_file.mounts(self.service)
        inside = self.service["entrypoint"] + shlex.split(self.service["command"])
        command = [_host_paths(argument, mounted) for argument in inside]
        super().__init__(name, root / f"{name}.log", [*command, "-p", str(self.port), *self._local_options()])
        self.environment = {
            "PATH": f"{self.programs}:{_PATH}",
            "PGDATA": str(self.data),
            "PGHOST": str(self.root),
            "PGPORT": str(self.port),
            "INITDB_SCRIPTS": str(mounted.get("/docker-entrypoint-initdb.d/10-roles.sh", "")),
            "TMPDIR": str(self.root),
            **self.service["environment"],
            **environment,
        }
        self.directory = self.root
        if account is not None:
            self.user, self.group = account.pw_uid, account.pw_gid

    def _local_options(self) -> list[str]:
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.root), "fsync": "off"}
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def ready(self) -> bool:
        try:
            self.connect(connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return self.running

    def connect(self, user: str = "instafeed", **more: Any) -> psycopg.Connection[Any]:
        """Connect over TCP, as containers do. Raises psycopg.OperationalError."""
        password = compose_file.SECRETS[
            {"postgres": "POSTGRES_SUPERUSER_PASSWORD", "replicator": "POSTGRES_REPLICATION_PASSWORD"}.get(
                user, "POSTGRES_PASSWORD"
            )
        ]
        options = {"dbname": "instafeed", "host": "127.0.0.1", "connect_timeout": 60, **more}
        return psycopg.connect(user=user, password=password, port=self.port, autocommit=True, **options)

    def control_value(self, name: str) -> str:
        """Return a line of pg_controldata, also while the server is stopped."""
        command = [POSTGRES_BIN / "pg_controldata", self.data]
        output = subprocess.run(command, capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
        return dict(line.split(":", 1) for line in output.splitlines() if ":" in line)[name].strip()

    @contextmanager
    def holding(self, program: str) -> Iterator[None]:
        """Make the server's scripts wait when they next run this program, until the end of the block."""
        hold = self.programs / f"{program}.hold"
        hold.with_suffix(".waits").unlink(missing_ok=True)
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    def wait_until_held(self, program: str) -> None:
        eventually((self.programs / f"{program}.waits").exists)

    def _wrap_programs(self) -> None:
        self.programs.mkdir()
        for name in _HELD_PROGRAMS:
            wrapper = self.programs / name
            wrapper.write_text(_WRAPPER.format(program=shutil.which(name, path=_PATH)))
            wrapper.chmod(0o755)
        (self.programs / ENTRYPOINT.name).symlink_to(ENTRYPOINT)

    def ask(self, query: str, user: str = "instafeed", **more: Any) -> Any:
        """Return the first row of a query."""
        with self.connect(user, **more) as connection:
            return connection.execute(query).fetchone()


def _host_paths(argument: str, mounted: dict[str, Path]) -> str:
    for inside, path in mounted.items():
        argument = argument.replace(inside, str(path))
    return argument


def returns_count(replica: ComposePostgres, query: str, number: int) -> bool:
    try:
        return bool(replica.ask(query) == (number,))
    except psycopg.Error:
        return False


def slot(primary: ComposePostgres) -> tuple[bool, str] | None:
    query = "SELECT active, wal_status FROM pg_replication_slots WHERE slot_name = 'replica'"
    row: tuple[bool, str] | None = primary.ask(query)
    return row


def stopped_watching(replica: ComposePostgres) -> int:
    return replica.log.read_text().count("replica: it was promoted")
