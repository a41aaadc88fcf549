"""PgBouncer with the configuration of `deploy/pgbouncer/`, in front of a server of the embedded stack."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psycopg

from instafeed.devstack.child_process import Child
from instafeed.devstack.ports import free_port
from instafeed.devstack.postgres import DATABASE_OWNER, PostgresServer
from instafeed.devstack.postgres_wheel import chown_to_account
from instafeed.devstack.state import PROJECT_ROOT, write_private

EXECUTABLE = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
_CONFIGURATION = PROJECT_ROOT / "deploy" / "pgbouncer" / "pgbouncer.ini"
_UPSTREAM = "host=postgres port=5432"


class PgBouncer(Child):
    """`server` is the one that clients reach; `redirect()` changes it. `settings` replace those of the file."""

    def __init__(self, directory: Path, server: PostgresServer, **settings: str | int) -> None:
        super().__init__("pgbouncer", directory / "pgbouncer.log")
        self.server = server
        self.port = free_port()
        self.directory = directory
        if server.account is not None:  # PgBouncer refuses to run as root
            self.user, self.group = server.account.pw_uid, server.account.pw_gid
        self._settings = settings

    def url(self, database: str = "instafeed") -> str:
        return f"postgresql://{DATABASE_OWNER}:{self.server.password}@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        self._configure()
        return [str(EXECUTABLE), str(self._path("pgbouncer.ini"))]

    def ready(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return self.running

    def redirect(self, server: PostgresServer) -> None:
        """Lead the clients to another server, as an operator does: change the file and reload it."""
        self.server = server
        self._configure()
        self.administer("RELOAD")

    def administer(self, command: str) -> list[dict[str, Any]]:
        """Run a command of PgBouncer's console and return its rows."""
        with psycopg.connect(self.url("pgbouncer"), autocommit=True) as connection:
            cursor = psycopg.ClientCursor(connection, row_factory=psycopg.rows.dict_row)
            cursor.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def _path(self, name: str) -> Path:
        assert self.directory is not None
        return self.directory / name

    def _configure(self) -> None:
        text = _CONFIGURATION.read_text()
        assert text.count(_UPSTREAM) == 2
        text = text.replace(_UPSTREAM, f"host=127.0.0.1 port={self.server.port}")
        users = self._path("userlist.txt")
        own = {"listen_addr": "127.0.0.1", "listen_port": self.port, "auth_file": users, "admin_users": DATABASE_OWNER}
        text += "".join(f"{name} = {value}\n" for name, value in (own | self._settings).items())
        for path, content in (
            (users, f'"{DATABASE_OWNER}" "{self.server.password}"\n'),
            (self._path("pgbouncer.ini"), text),
        ):
            write_private(path, content)
            chown_to_account(path, self.server.account)
