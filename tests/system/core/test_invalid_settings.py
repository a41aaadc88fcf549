"""Every program ends with status 1 and one line for a mistake that it cannot start with.

tests/unit/core lists more wrong values.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from instafeed.devstack.state import PROJECT_ROOT

PROGRAMS = {
    "manage.py": ("manage.py", "check"),
    "gunicorn": ("-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "instafeed.wsgi:application"),
    "stream": ("-m", "instafeed.asgi"),
    "worker": ("-m", "celery", "-A", "instafeed", "worker"),
    "beat": ("-m", "celery", "-A", "instafeed", "beat", "--pidfile=", "--schedule=/dev/null/never"),
}
SERVERS = [name for name in PROGRAMS if name != "manage.py"]
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "instafeed.settings",
    "DATABASE_URL": "postgresql://instafeed:secret@127.0.0.1:1/instafeed",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


def run(program: str, *options: str, **changed: str) -> subprocess.CompletedProcess[str]:
    return run_alone(program, *options, **{**PRODUCTION, **changed})


def run_alone(program: str, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a program with these settings only. The stack of this checkout, if one runs, does not count."""
    return subprocess.run(
        [sys.executable, *PROGRAMS[program], *options],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "INSTAFEED_STACK_DIR": "/nonexistent", **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("manage.py", "DATABASE_URL", "mysql://x"),
        ("gunicorn", "PORT", "0"),  # read by gunicorn's configuration
        ("gunicorn", "SECRET_KEY", ""),  # read by Django
        ("stream", "STREAM_LIMIT", "0"),
        ("worker", "FAN_OUT_BATCH_SIZE", "-5"),
        ("beat", "CELEBRITY_THRESHOLD", "many"),
    ],
)
def test_every_program_refuses_an_invalid_setting(program: str, name: str, value: str) -> None:
    assert_one_line(run(program, **{name: value}), name)


def assert_one_line(done: subprocess.CompletedProcess[str], problem: str) -> None:
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.startswith(f"instafeed: {problem} "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("program", SERVERS)
@pytest.mark.parametrize("settings", [{}, {"SECRET_KEY": PRODUCTION["SECRET_KEY"]}], ids=["nothing", "key"])
def test_servers_refuse_an_environment_without_services(program: str, settings: dict[str, str]) -> None:
    assert_one_line(run_alone(program, **settings), "DATABASE_URL and REDIS_URL are not set, and no stack runs.")


def test_deployment_check_refuses_an_empty_environment() -> None:
    done = run_alone("manage.py", "--deploy")
    assert done.returncode == 1
    (problem,) = [line for line in done.stderr.splitlines() if line.startswith("?: ")]
    assert problem.startswith("?: (instafeed.E007) DATABASE_URL and REDIS_URL are not set")


@pytest.mark.parametrize(
    ("program", "options", "settings", "problem"),
    [
        ("gunicorn", (), {"MEDIA_ROOT": "/dev/null/media"}, "MEDIA_ROOT /dev/null/media cannot be used:"),
        ("worker", (), {"MEDIA_ROOT": "/dev/null/media"}, "MEDIA_ROOT /dev/null/media cannot be used:"),
        ("worker", (), {"EMAIL_URL": "file:/dev/null/mail"}, "EMAIL_URL /dev/null/mail cannot be used:"),
        ("worker", ("--pidfile=/nowhere/pid",), {}, "--pidfile /nowhere/pid cannot be written: /nowhere:"),
        ("worker", ("--statedb=/nowhere/state",), {}, "--statedb /nowhere/state cannot be written: /nowhere:"),
        ("worker", ("--logfile=/nowhere/log",), {}, "--logfile has no effect:"),
        ("beat", (), {}, "--schedule /dev/null/never cannot be written: /dev/null:"),
        ("beat", ("--schedule=/nowhere/x",), {}, "--schedule /nowhere/x cannot be written: /nowhere:"),
        ("beat", ("--schedule=/tmp/x", "--pidfile=/nowhere/pid"), {}, "--pidfile /nowhere/pid cannot be written:"),
        ("beat", ("--schedule=/tmp/x", "--logfile=/nowhere/log"), {}, "--logfile has no effect:"),
        *(
            (program, (), {"PROMETHEUS_MULTIPROC_DIR": "/dev/null/m"}, "PROMETHEUS_MULTIPROC_DIR /dev/null/m cannot")
            for program in SERVERS
        ),
    ],
)
def test_a_missing_directory_is_one_line(
    program: str, options: tuple[str, ...], settings: dict[str, str], problem: str
) -> None:
    assert_one_line(run(program, *options, **settings), problem)


def test_a_taken_port_of_the_streams_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("stream", PORT=str(port))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"instafeed: PORT 127.0.0.1:{port} cannot be used: Address already in use"


def test_check_passes_with_valid_settings() -> None:
    done = run("manage.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no issues" in done.stdout
