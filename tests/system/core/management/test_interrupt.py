"""Ctrl-C ends an operator command with one line, which says how to go on. Output to a pipe is not buffered."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from instafeed.core.cache import keys
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.processes import clean_environment

USERS = 30  # the command needs a second for each; also a test that stands still for long must interrupt it


@pytest.fixture(scope="module")
def users(live_stack: LiveStack) -> list[HttpUser]:
    return [HttpUser(live_stack) for _ in range(USERS)]


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_stops_a_command_that_the_next_run_completes(
    terminal: bool, live_stack: LiveStack, users: list[HttpUser]
) -> None:
    command = ["backfill_feeds", "--user", *(user.username for user in users)]
    feeds = [keys.home_timeline(int(user.id)) for user in users]
    with live_stack.services.cache.client() as cache:
        cache.delete(*feeds)
        read_end, write_end = pty.openpty() if terminal else os.pipe()
        if terminal:
            termios.tcsetwinsize(write_end, (24, 80))
        with (
            closing(os.fdopen(read_end, "rb", buffering=0)) as output,
            started(live_stack, write_end, *command, "--rate=1") as process,
        ):
            seen = read_until(output.fileno(), f"Rebuilding the feeds of {USERS} users.".encode())
            eventually(lambda: cache.exists(*feeds))
            process.send_signal(signal.SIGINT)
            seen += read_until(output.fileno(), b"--after ")
            assert process.wait(60) == 130, seen
        assert (b"\r" in seen.replace(b"\r\n", b"")) == terminal
        assert b"Traceback" not in seen
        assert cache.exists(*feeds) < USERS
        after = seen.rpartition(b"--after ")[2].split()[0].decode()
        live_stack.manage(*command, f"--after={after}")
        assert cache.exists(*feeds) == USERS


@contextmanager
def started(live_stack: LiveStack, output: int, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in its own session. Closes `output` in this process."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT_ROOT,
        env=clean_environment(**live_stack.environment, PYTHONUNBUFFERED=""),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    os.close(output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(output: int, wanted: bytes) -> bytes:
    """Read until `wanted` and the end of its word appear. Return everything read."""
    seen = b""
    while not re.search(re.escape(wanted) + rb"\S*\s", seen):
        part = os.read(output, 4096)
        assert part, seen
        seen += part
    return seen
