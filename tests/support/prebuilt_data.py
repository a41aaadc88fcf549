"""Data that take seconds to build: a migrated database and a stack directory, built once a session and then copied.

The first test process that needs one builds it; the others wait.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
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

SERVICES_VARIABLE = "INSTAFEED_TEST_SERVICES"  # names the variable that holds the session's directory
TEMPLATE_DATABASE = "instafeed_migrated"  # no process may stay connected to it, or it cannot be copied


def create_migrated_template() -> None:
    """Create and migrate TEMPLATE_DATABASE on the session's primary, if that was not done yet."""
    with _build_once("database") as is_missing:
        if is_missing:
            url = os.environ["DATABASE_URL"]
            with psycopg.connect(url, autocommit=True) as connection:
                # Leftovers of a failed attempt would hide the reason of its failure.
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(TEMPLATE_DATABASE)))
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE_DATABASE)))
            _manage(
                {"DATABASE_URL": urlsplit(url)._replace(path=f"/{TEMPLATE_DATABASE}").geturl()}, "migrate", "--noinput"
            )


def copy_stack_directory(target: Path) -> None:
    """Fill an empty directory with the data of a stack after its first start with `--empty`."""
    source = Path(os.environ[SERVICES_VARIABLE]) / "prepared"
    with _build_once("stack") as is_missing:
        if is_missing:
            shutil.rmtree(source, ignore_errors=True)
            source.mkdir()
            with DataServices(source, fsync=False) as services:
                _prepare(services)
                mark_collected(services.layout.static)
    # cp keeps the owner: another account if the suite runs as root.
    kept = [source / name for name in ("primary", "static", "secrets.json")]
    subprocess.run(["cp", "-a", *kept, target], check=True)
    if server_account() is not None:
        make_parents_traversable(target / "primary")


@contextmanager
def prebuilt_services(*, redis_nodes: int = 0) -> Iterator[DataServices]:
    """Run new data services whose database is migrated. Outside a test session they are built from the start.

    With `redis_nodes` the cache is a Redis Cluster.
    """
    # Not pytest's directory: under root PostgreSQL runs as another account, which cannot enter that one.
    with tempfile.TemporaryDirectory(prefix="instafeed-stack-", ignore_cleanup_errors=True) as directory:
        is_session = SERVICES_VARIABLE in os.environ
        if is_session:
            copy_stack_directory(Path(directory))
        with DataServices(Path(directory), fsync=False, redis_nodes=redis_nodes) as services:
            if not is_session:
                _prepare(services)
            yield services


def _prepare(services: DataServices) -> None:
    """Migrate the database and collect the static files."""
    _manage(services.environment, "migrate", "--noinput")
    _manage(services.environment, "collectstatic", "--noinput")


@contextmanager
def _build_once(name: str) -> Iterator[bool]:
    """Yield whether `name` must be built, while all other processes wait."""
    done = Path(os.environ[SERVICES_VARIABLE]) / f"prepared-{name}.done"
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not done.exists()
        done.touch()


def _manage(environment: Mapping[str, str], *command: str) -> None:
    variables = {
        **os.environ,
        "DATABASE_REPLICA_URLS": "",
        **environment,
        "DJANGO_SETTINGS_MODULE": "instafeed.settings",
    }
    subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT_ROOT,
        env=variables,
        check=True,
        stdout=subprocess.DEVNULL,
    )
