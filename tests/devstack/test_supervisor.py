"""Children that die are started again; all of them end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from instafeed.devstack.child_process import Program, stop_children, trim_log
from instafeed.devstack.state import StackError
from instafeed.devstack.supervisor import StopRequested, StopSignals, Supervisor
from tests.eventually import eventually

NewProgram = Callable[..., Program]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[NewProgram]:
    made: list[Program] = []

    def make(*command: str) -> Program:
        made.append(Program(f"program{len(made)}", tmp_path / f"{len(made)}.log", command))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def ticking(supervisor: Supervisor, condition: Callable[[], object], seconds: float = 60) -> None:
    """Lets the supervisor do its round until the condition holds."""

    def after_a_round() -> object:
        supervisor.tick()
        return condition()

    eventually(after_a_round, seconds)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_child_that_was_killed_is_started_again(program: NewProgram) -> None:
    child, said = program("sleep", "60"), list[str]()
    child.start()
    supervisor, first = Supervisor([child], say=said.append), child.pid
    os.kill(first, signal.SIGKILL)
    ticking(supervisor, lambda: child.running and child.pid != first)
    assert len(said) == 1
    assert "ended with status -9" in said[0]


def test_the_pause_before_a_new_start_doubles(program: NewProgram) -> None:
    child, said = program("false"), list[str]()
    child.launch()
    supervisor = Supervisor([child], say=said.append)
    ticking(supervisor, lambda: len(said) == 3)
    assert [line.partition("again in ")[2][:3] for line in said] == ["0.2", "0.4", "0.8"]


def test_one_failing_child_delays_no_other(program: NewProgram) -> None:
    failing, other = program("no-such-program-anywhere"), program("sleep", "60")
    with pytest.raises(StackError, match="cannot be started"):
        failing.launch()
    other.start()
    supervisor, first = Supervisor([failing, other]), other.pid
    other.kill()
    ticking(supervisor, lambda: other.running and other.pid != first, seconds=5)


def test_what_a_killed_child_leaves_in_its_group_dies_with_it(program: NewProgram) -> None:
    child = program("sh", "-c", "sleep 60 & wait")
    child.start()
    eventually(lambda: len(child.tree()) == 2)
    orphan = child.tree()[1]
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: not child.running)
    eventually(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)


def test_a_frozen_child_is_ended_in_order(program: NewProgram, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"import signal,sys,time; signal.signal(15, lambda *a: (open({str(mark)!r}, 'w'), sys.exit())); "
    child = program(*python(code + "print('on', flush=True); time.sleep(60)"))
    child.start()
    eventually(lambda: "on" in child.log.read_text())
    child.pause()
    child.stop()
    assert mark.exists()


def test_a_child_that_ignores_its_signals_is_killed(program: NewProgram) -> None:
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    child = program(*python(code))
    child.start()
    eventually(lambda: "on" in child.log.read_text())
    stop_children([child], grace=0.2)
    assert child.poll() == -signal.SIGKILL


def test_children_are_out_of_reach_of_the_terminals_ctrl_c(program: NewProgram) -> None:
    child = program("sleep", "60")
    child.start()
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_a_failing_step_shows_the_error_in_its_log(program: NewProgram) -> None:
    with pytest.raises(StackError, match="ValueError: no such colour"):
        program(*python("raise ValueError('no such colour')")).run()


def test_a_signal_ends_the_next_sleep_and_nothing_else() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        with pytest.raises(StopRequested):
            signals.sleep(60)


def test_a_long_log_is_moved_aside_under_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instafeed.devstack.child_process._MAX_LOG_BYTES", 10)
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 11)
        trim_log(log)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "log.1").read_bytes() == b"x" * 11
