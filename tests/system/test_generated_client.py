"""The Python client that openapi-python-client generates from openapi.json drives the running system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from instafeed.devstack.state import PROJECT_ROOT
from tests.clients.python_client import generate_python_client
from tests.support.live_stack import LiveStack
from tests.support.processes import clean_environment


def test_generated_client_registers_follows_posts_reads_likes_and_refreshes(
    live_stack: LiveStack, tmp_path: Path
) -> None:
    generate_python_client(tmp_path)
    environment = clean_environment(PYTHONPATH=f"{tmp_path}:{PROJECT_ROOT}")
    command = [sys.executable, "-m", "tests.clients.tour", live_stack.base_url]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr + live_stack.logs()
