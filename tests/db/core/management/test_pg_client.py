"""`pg_client` runs a program of PostgreSQL on the primary, and keeps the password out of its arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from instafeed.devstack.postgres_wheel import POSTGRES_BIN
from tests.support.processes import manage

# Prints the command lines of itself and of the process that ran it.
SHOW_ARGUMENTS = "import os, psutil; print(*(psutil.Process(pid).cmdline() for pid in (os.getpid(), os.getppid())))"


@pytest.fixture
def environment() -> dict[str, str]:
    urls = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")}
    return urls | {
        "SECRET_KEY": "signs-nothing-that-leaves-the-tests-0123456789-abcdefghij",
        "PATH": f"{POSTGRES_BIN}:{os.environ['PATH']}",
    }


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return manage("pg_client", *arguments, environment=environment)


def test_program_reaches_the_primary(environment: dict[str, str]) -> None:
    done = run(environment, "psql", "--no-psqlrc", "--tuples-only", "--command", "SELECT pg_is_in_recovery()")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "f", "")


def test_password_is_no_argument(environment: dict[str, str]) -> None:
    done = run(environment, sys.executable, "-c", SHOW_ARGUMENTS)
    password = urlsplit(environment["DATABASE_URL"]).password
    assert password
    assert "psutil" in done.stdout, done.stderr
    assert password not in done.stdout


def test_direct_url_bypasses_pgbouncer(environment: dict[str, str]) -> None:
    direct = {"DATABASE_DIRECT_URL": "postgresql://direct.example.org/feed"}
    done = run(environment | direct, sys.executable, "-c", "import os; print(os.environ['PGHOST'])")
    assert done.stdout == "direct.example.org\n", done.stderr


def test_status_is_that_of_the_program(environment: dict[str, str]) -> None:
    assert run(environment, "sh", "-c", "exit 7").returncode == 7


def test_unknown_program_is_a_one_line_error(environment: dict[str, str]) -> None:
    done = run(environment, "pg_nothing")
    assert (done.returncode, done.stderr) == (1, "CommandError: cannot run pg_nothing: No such file or directory\n")


def test_without_a_database_there_is_a_one_line_error(tmp_path: object) -> None:
    done = run({"INSTAFEED_STACK_DIR": str(tmp_path)}, "psql")
    assert done.stderr == "CommandError: DATABASE_URL is not set, and no embedded stack runs\n"
