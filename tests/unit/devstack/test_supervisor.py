"""Restarts and stops of child processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instafeed.devstack import supervisor as supervisor_module
from instafeed.devstack.child_process import Program, has_ended, stop_children, trim_log
from instafeed.devstack.state import StackError
from instafeed.devstack.supervisor import StopRequested, StopSignals, Supervisor
from tests.support.eventually import eventually

NewProgram = Callable[..., Program]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[NewProgram]:
    programs: list[Program] = []

    def create(*command: str) -> Program:
        programs.append(Program(f"program{len(programs)}", tmp_path / f"{len(programs)}.log", command))
        return programs[-1]

    yield create
    for each in programs:
        each.kill()


def tick_until(supervisor: Supervisor, condition: Callable[[], object]) -> None:
    """Let the supervisor tick until the condition is true."""

    def tick() -> object:
        supervisor.tick()
        return condition()

    eventually(tick)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_killed_child_is_restarted(program: NewProgram) -> None:
    child, messages = program("sleep", "60"), list[str]()
    child.start()
    supervisor, first = Supervisor([child], say=messages.append), child.pid
    os.kill(first, signal.SIGKILL)
    tick_until(supervisor, lambda: child.running and child.pid != first)
    assert len(messages) == 1
    assert "ended with status -9" in messages[0]


def test_restart_delay_doubles(program: NewProgram) -> None:
    child, messages = program("false"), list[str]()
    child.launch()
    supervisor = Supervisor([child], say=messages.append)
    tick_until(supervisor, lambda: len(messages) == 3)
    assert [line.partition("restarting in ")[2][:3] for line in messages] == ["0.2", "0.4", "0.8"]


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_failing_child_does_not_delay_others(program: NewProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tick waits."""
    failing, other = program("no-such-program-anywhere"), program("sleep", "60")
    with pytest.raises(StackError, match="cannot be started"):
        failing.launch()
    other.start()
    clock, supervisor, first = Clock(), Supervisor([failing, other]), other.pid
    monkeypatch.setattr(supervisor_module, "time", clock)
    supervisor.tick()
    other.kill()
    supervisor.tick()
    clock.now += 1
    supervisor.tick()
    assert other.running
    assert other.pid != first


def test_process_group_of_a_killed_child_is_killed(program: NewProgram) -> None:
    child = program("sh", "-c", "sleep 60 & wait")
    child.start()
    eventually(lambda: len(child.tree()) == 2)
    orphan = child.tree()[1]
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: not child.running)
    eventually(lambda: has_ended(orphan))


def test_kill_waits_for_the_end_of_all_descendants(program: NewProgram) -> None:
    """A process with much memory takes longer to end than its parent."""
    holder = "import time; held = b'x' * 300_000_000; print('on', flush=True); time.sleep(60)"
    child = program(*python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holder!r}])"))
    child.start()
    eventually(lambda: "on" in child.log.read_text())
    descendant = child.tree()[1]
    child.kill()
    assert has_ended(descendant)


def test_paused_child_is_stopped_in_order(program: NewProgram, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import signal,sys,time; signal.signal(15, lambda *a: (open({str(mark)!r}, 'w'), sys.exit())); "
    child = program(*python(code + "print('on', flush=True); time.sleep(60)"))
    child.start()
    eventually(lambda: "on" in child.log.read_text())
    child.pause()
    child.stop(grace=60)
    assert mark.exists()


def test_child_that_ignores_signals_is_killed(program: NewProgram) -> None:
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    child = program(*python(code))
    child.start()
    eventually(lambda: "on" in child.log.read_text())
    stop_children([child], grace=0.2)
    assert child.poll() == -signal.SIGKILL


def test_children_do_not_receive_ctrl_c(program: NewProgram) -> None:
    child = program("sleep", "60")
    child.start()
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_failed_program_reports_the_error_in_its_log(program: NewProgram) -> None:
    with pytest.raises(StackError, match="ValueError: no such colour"):
        program(*python("raise ValueError('no such colour')")).run()


def test_signal_interrupts_only_sleep() -> None:
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(StopRequested):
            signals.sleep(60)


def test_long_log_is_rotated_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instafeed.devstack.child_process.MAX_LOG_BYTES", 10)
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 11)
        trim_log(log)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "log.1").read_bytes() == b"x" * 11
