"""CPU time by part, of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import cpu
from benchmarks.cpu import CpuMeter, Usage, cpu_seconds
from instafeed.devstack.child_process import Program
from instafeed.devstack.state import PROJECT_ROOT, ProcessIdentity
from tests.support.eventually import eventually

# A parent that waits for a line in a named pipe, which uses no CPU time, has a child that uses some and ends, and then
# does nothing.
BUSY = "import time\nwhile time.process_time() < 0.3: pass"
SCRIPT = f"read line < begin; {sys.executable} -c '{BUSY}'; touch finished; exec sleep 600"

# A process that measures itself between two readings of its own clock, which has nanoseconds.
MEASURE_ITSELF = """
import os, time
from benchmarks.cpu import cpu_seconds
from instafeed.devstack.state import ProcessIdentity

itself = ProcessIdentity.of(os.getpid())
print(time.process_time(), cpu_seconds(itself), time.process_time())
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program("busy", tmp_path / "log", ["sh", "-c", SCRIPT])
    program.directory = tmp_path
    os.mkfifo(tmp_path / "begin")
    program.launch()
    yield program
    program.kill()


def test_time_of_ended_children_counts_and_idle_parts_use_none(program: Program, tmp_path: Path) -> None:
    idle = Program("idle", tmp_path / "idle.log", ["sleep", "600"])
    idle.launch()
    try:
        meter, usage = CpuMeter({"busy": [program], "idle": [idle]}, idle_seconds=0.05), Usage()
        with meter.measure(usage):
            (tmp_path / "begin").write_text("now\n")
            eventually((tmp_path / "finished").exists)
        assert usage.seconds["busy"] >= 0.25
        assert usage.seconds["idle"] < 0.05
        assert usage.figures(10, "x_")["x_cpu_busy_ms"] == pytest.approx(100 * usage.seconds["busy"])
        assert 0 <= cpu.steal_percent([usage]) <= 100
        assert cpu_seconds(ProcessIdentity.of(program.pid)) >= usage.seconds["busy"]
    finally:
        idle.kill()


def test_times_below_a_tick_are_measured() -> None:
    command = [sys.executable, "-c", MEASURE_ITSELF]
    shown = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True, timeout=200).stdout
    before, measured, after = map(float, shown.split())
    assert before <= measured <= after
