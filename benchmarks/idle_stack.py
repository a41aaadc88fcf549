"""The CPU time of `manage.py stack` with all its programs while it gets no requests."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cpu import cpu_seconds
from benchmarks.harness import Stack
from instafeed.devstack.child_process import Program
from instafeed.devstack.ports import free_port
from instafeed.devstack.programs import child_environment, is_healthy
from instafeed.devstack.state import PROJECT_ROOT, ProcessIdentity, running_record


class StackProgram(Program):
    grace = 90.0  # it stops its own children first

    def __init__(self, directory: Path) -> None:
        self.data_dir = directory / "stack"
        self.port = free_port()
        arguments = ["stack", "--empty", "--data-dir", str(self.data_dir), "--port", str(self.port)]
        command = [sys.executable, str(PROJECT_ROOT / "manage.py"), *arguments]
        super().__init__("stack", directory / "stack.log", command, child_environment({}))
        self.directory = PROJECT_ROOT

    def ready(self) -> bool:
        return self.running and is_healthy(self.port)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds so far, by program; `supervisor` is the command itself."""
        record = running_record(self.data_dir)
        assert record is not None
        seconds = {name: cpu_seconds(identity) for name, identity in record.children.items() if identity.alive()}
        return {"supervisor": cpu_seconds(ProcessIdentity.of(self.pid)) - sum(seconds.values()), **seconds}


def measure_idle_cpu(stack: Stack, *, settling: float, seconds: float) -> dict[str, float]:
    """Start an empty stack, and return by program how much of a core it uses after `settling` seconds, in percent."""
    with tempfile.TemporaryDirectory(prefix="instafeed-idle-", ignore_cleanup_errors=True) as directory:
        program = StackProgram(Path(directory))
        stack.services.track(program)
        try:
            program.start(timeout=300)
            time.sleep(settling)
            before, started = program.cpu_seconds(), time.monotonic()
            time.sleep(seconds)
            after, elapsed = program.cpu_seconds(), time.monotonic() - started
        finally:
            program.stop()
    return {name: max(0.0, 100 * (after[name] - before[name]) / elapsed) for name in before}
