"""What takes seconds to make is made once a session, and copied: a migrated database, and a stack's directory.

Each test process asks when it first needs one; whoever asks first makes it, the others wait.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from instafeed.devstack.data_services import DataServices
from instafeed.devstack.postgres_wheel import make_parents_traversable, server_account
from instafeed.devstack.state import PROJECT_ROOT
from instafeed.devstack.static_files import mark_collected

SERVICES_VARIABLE = "INSTAFEED_TEST_SERVICES"  # the variable that names the session's directory
TEMPLATE_DATABASE = "instafeed_migrated"  # nobody connects to it, or it could not be copied


def create_migrated_template() -> None:
    """TEMPLATE exists on the session's primary."""
    with _build_once("database") as missing:
        if missing:
            url = os.environ["DATABASE_URL"]
            with psycopg.connect(url, autocommit=True) as connection:
                # What a failed try left behind would only hide why it failed.
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(TEMPLATE_DATABASE)))
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE_DATABASE)))
            _manage(
                {"DATABASE_URL": urlsplit(url)._replace(path=f"/{TEMPLATE_DATABASE}").geturl()}, "migrate", "--noinput"
            )


def copy_stack_directory(target: Path) -> None:
    """An empty directory becomes that of a stack after its first start with `--empty`."""
    source = Path(os.environ[SERVICES_VARIABLE]) / "prepared"
    with _build_once("stack") as missing:
        if missing:
            shutil.rmtree(source, ignore_errors=True)
            source.mkdir()
            with DataServices(source, fsync=False) as services:
                _manage(services.environment, "migrate", "--noinput")
                _manage(services.environment, "collectstatic", "--noinput")
                mark_collected(services.layout.static)
    # cp keeps the owner, who is another account where the suite runs as root.
    kept = [source / name for name in ("primary", "static", "secrets.json")]
    subprocess.run(["cp", "-a", *kept, target], check=True)
    if server_account() is not None:
        make_parents_traversable(target / "primary")


@contextmanager
def _build_once(name: str) -> Iterator[bool]:
    """Whether it has to be made, while all others wait."""
    done = Path(os.environ[SERVICES_VARIABLE]) / f"prepared-{name}.done"
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not done.exists()
        yield missing
        done.touch()


def _manage(environment: Mapping[str, str], *command: str) -> None:
    changed = {**os.environ, "DATABASE_REPLICA_URLS": "", **environment, "DJANGO_SETTINGS_MODULE": "instafeed.settings"}
    subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT_ROOT,
        env=changed,
        check=True,
        stdout=subprocess.DEVNULL,
    )
