"""Settings of a process. Each test runs in a process of its own, as they cannot be undone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from instafeed.devstack.state import PROJECT_ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prctl is a part of Linux")

OTHER_USER = 65_534
# Prints 0 if this process has hidden its memory, else 1.
PRINT_DUMPABLE = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"


def run(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **environment}
    finished = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@pytest.mark.parametrize(
    ("program", "start"),
    [
        ("a script", "pass"),
        ("a Celery worker", "from celery import signals; from instafeed.celery import app; "
        "signals.celeryd_init.send(None, instance=None, conf=app.conf, options={})"),
        ("beat", "from celery import signals; import instafeed.celery; signals.beat_init.send(None)"),
        ("gunicorn", "import logging, runpy, types; server = types.SimpleNamespace(log=logging.getLogger()); "
        "runpy.run_path('deploy/gunicorn.conf.py')['on_starting'](server)"),
    ],
)  # fmt: skip
def test_programs_with_secrets_hide_their_memory(program: str, start: str) -> None:
    assert run(f"{start}\n{PRINT_DUMPABLE}") == ("1" if program == "a script" else "0")


def test_forked_processes_inherit_it() -> None:
    fork = "import os, sys; from instafeed.core.process import hide_memory; hide_memory(); os.fork() and sys.exit()"
    assert run(f"{fork}\n{PRINT_DUMPABLE}") == "0"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
@pytest.mark.parametrize("is_hidden", [False, True])
def test_a_child_of_the_same_user_cannot_read_the_environment(is_hidden: bool) -> None:
    """Root can, which is why the test becomes another user."""
    code = "import ctypes, os, subprocess, sys; from instafeed.core.process import hide_memory; "
    # A change of the user hides the memory, too: show it again.
    code += f"os.setgid({OTHER_USER}); os.setuid({OTHER_USER}); ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); "
    code += f"{'hide_memory(); ' if is_hidden else ''}"
    code += "sys.exit(subprocess.call(['/bin/sh', '-c', 'cat /proc/$PPID/environ'], env={}) != " + f"{int(is_hidden)})"
    output = run(code, SECRET="a password")
    assert ("SECRET=a password" in output) is not is_hidden


def test_web_server_does_not_collect_what_its_start_has_created() -> None:
    code = "import gc, runpy, sys; import instafeed.wsgi; "
    code += "runpy.run_path('deploy/gunicorn.conf.py')['post_worker_init'](None); "
    code += "print('feeds.api.views' in sys.modules, gc.get_freeze_count() > 100_000)"
    assert run(code) == "True True"
