"""One child process: its own session, its log, its death with its parent, its end.

* Each child leads a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone and
  the children end in the order that it chooses.
* On Linux a child is told to stop when its parent dies, even by SIGKILL. The kernel ties this to the
  *thread* that started the child: start children from a thread that lives as long as they should.
* What a dead child leaves behind in its process group (the pool of a killed Celery worker) dies with it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from instafeed.core.process import die_with_parent
from instafeed.devstack.state import ProcessIdentity, StackError

Sleep = Callable[[float], None]

_MAX_LOG_BYTES = 20 * 2**20


class Child:
    """A program that can be started, watched, frozen and ended, and started again.

    A subclass says in `command()` what to run at each start. `stop_signals` are tried in this order,
    each for `grace` seconds, before SIGKILL; `death_signal` comes when the parent dies.
    """

    stop_signals: Sequence[signal.Signals] = (signal.SIGTERM,)
    death_signal = signal.SIGTERM
    grace = 10.0
    user: int | None = None
    group: int | None = None

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.environment: dict[str, str] | None = None
        self.directory: Path | None = None
        self.launched_at = 0.0
        self.on_launch: Callable[[Child], None] = lambda child: None
        self._popen: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it does its work now; asked often, so the answer comes within a second or so."""
        return self.running

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise StackError(f"{self.name} was never started")
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self.poll() is None

    def poll(self) -> int | None:
        """The exit status, None while it runs (or before its first start).

        The dead child is reaped only after its group was killed: until then its number, which is the
        group's too, cannot belong to anybody else.
        """
        if self._popen is None:
            return None
        if self._popen.returncode is not None:
            return self._popen.returncode
        if os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        return self._popen.wait()

    def launch(self) -> None:
        """Starts it and returns at once; StackError if the program cannot be run."""
        trim_log(self.log)
        command = self.command()
        self.launched_at = time.monotonic()
        with open(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
            try:
                self._popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self.environment,
                    cwd=self.directory,
                    user=self.user,
                    group=self.group,
                    extra_groups=None if self.user is None else [],
                    start_new_session=True,
                    # After the change of user, which would clear it.
                    preexec_fn=partial(die_with_parent, os.getpid(), self.death_signal),
                )
            except OSError as error:
                raise StackError(f"{self.name} cannot be started: {error}") from None
        self.on_launch(self)

    def start(self, timeout: float = 60, sleep: Sleep = time.sleep) -> None:
        """Starts it and waits until it is ready; StackError, with the end of its log, if it never is."""
        self.launch()
        self.wait_ready(timeout, sleep)

    def wait_ready(self, timeout: float = 60, sleep: Sleep = time.sleep) -> None:
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not self.running:
                raise StackError(f"{self.name} ended at its start: {last_line(self.log)}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready within {timeout:.0f} s: {last_line(self.log)}")
            sleep(0.02)

    def stop(self, grace: float | None = None) -> None:
        stop_children([self], grace)

    def kill(self) -> None:
        """SIGKILL to it and all its descendants, as a power cut would."""
        _signal_all(self.tree(), signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        """Freezes it with all its descendants: it keeps its connections and answers nothing."""
        _signal_all(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        _signal_all(self.tree(), signal.SIGCONT)

    def tree(self) -> list[psutil.Process]:
        """The process, then its descendants in whatever session (PostgreSQL gives each its own)."""
        if not self.running:
            return []
        return process_tree(ProcessIdentity.of(self.pid))

    def wait(self, timeout: float = 10) -> bool:
        """Whether it has ended within so many seconds."""
        deadline = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


class Program(Child):
    """A child whose command never changes."""

    def __init__(self, name: str, log: Path, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        super().__init__(name, log)
        self._command = list(command)
        self.environment = environment

    def command(self) -> list[str]:
        return self._command

    def run(self, sleep: Sleep = time.sleep) -> None:
        """Runs it to its end; StackError if it fails. Whatever `sleep` raises ends it."""
        self.launch()
        self.finish(sleep)

    def finish(self, sleep: Sleep = time.sleep) -> None:
        """The rest of `run()` for one that was launched."""
        try:
            while self.poll() is None:
                sleep(0.02)
        finally:
            self.stop()
        if self.poll():
            raise StackError(f"{self.name} failed: {last_line(self.log)}")


def stop_children(children: Iterable[Child], grace: float | None = None) -> None:
    """Ends these children side by side, each with its own signals; returns when all are gone."""
    waiting = [child for child in children if child.running]
    for attempt in range(max((len(child.stop_signals) for child in waiting), default=0)):
        for child in waiting:
            chosen = child.stop_signals[min(attempt, len(child.stop_signals) - 1)]
            child.resume()  # a frozen process would never see the signal
            with suppress(ProcessLookupError):
                os.kill(child.pid, chosen)
        began = time.monotonic()
        for child in waiting:
            limit = child.grace if grace is None else grace
            child.wait(max(0.0, began + limit - time.monotonic()))
        waiting = [child for child in waiting if child.running]
    for child in waiting:
        child.kill()


def terminate_leftover(identity: ProcessIdentity, grace: float = 10) -> None:
    """Ends a process of an earlier stack that is not our child: SIGINT, which every program of the stack
    takes for a quick and clean end, then SIGKILL."""
    tree = process_tree(identity)
    _signal_all(tree[:1], signal.SIGCONT, signal.SIGINT)
    deadline = time.monotonic() + grace
    while identity.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal_all(tree, signal.SIGKILL)


def process_tree(identity: ProcessIdentity) -> list[psutil.Process]:
    try:
        process = psutil.Process(identity.pid)
        return [process, *process.children(recursive=True)] if identity.alive() else []
    except psutil.NoSuchProcess:
        return []


def last_line(log: Path) -> str:
    """What a log says last, rather an error than what follows it; the log's path if it says nothing."""
    with suppress(OSError):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()[-20:]]
        errors = [line for line in lines if re.search(r"\bFATAL\b|\b\w*[Ee]rror: ", line)]
        for line in reversed(errors or lines):
            if line:
                return f"{line[:300]} (see {log})"
    return f"see {log}"


def trim_log(log: Path) -> None:
    """Moves a log that has grown too long aside. It is truncated in place: its writers append to it."""
    with suppress(OSError):
        if log.stat().st_size > _MAX_LOG_BYTES:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)


def _signal_all(processes: Iterable[psutil.Process], *signals: signal.Signals) -> None:
    for process in processes:
        for signum in signals:
            with suppress(psutil.NoSuchProcess):  # psutil compares start times: never a recycled pid
                process.send_signal(signum)
