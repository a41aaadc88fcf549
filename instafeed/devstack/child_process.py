"""One child process: start, log, signals, and end.

* Each child leads its own session, so Ctrl-C in a terminal reaches the supervisor only, which then stops the children
  in order.
* On Linux a child receives a signal when its parent dies, even by SIGKILL. The kernel ties this to the *thread* that
  started the child: start children from a thread that lives at least as long.
* When a child has died, the rest of its process group (such as the pool of a killed Celery worker) is killed.
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

MAX_LOG_BYTES = 20 * 2**20


class Child:
    """A program that can be started, checked, paused, stopped and restarted.

    `command()` of a subclass returns the command for each start. To stop it, `stop_signals` are sent in order, each
    followed by a wait of up to `grace` seconds, then SIGKILL. `death_signal` is sent when the parent dies.
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
        """Return whether it works now. Called often, so it must return within about a second."""
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
        """Return the exit status; None while it runs or before its first start.

        A dead child is reaped only after its process group has been killed. Until then the system cannot reuse its
        pid, which is also the group's id.
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
        """Start it and return at once. Raises StackError if the program cannot be run."""
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
                    # Set after the change of user, which clears it.
                    preexec_fn=partial(die_with_parent, os.getpid(), self.death_signal),
                )
            except OSError as error:
                raise StackError(f"{self.name} cannot be started: {error}") from None
        self.on_launch(self)

    def start(self, timeout: float = 60, sleep: Sleep = time.sleep) -> None:
        """Start it and wait until it is ready. Raises StackError with the end of its log if it fails."""
        self.launch()
        self.wait_ready(timeout, sleep)

    def wait_ready(self, timeout: float = 60, sleep: Sleep = time.sleep) -> None:
        """Wait until it is ready. Raises StackError if it ends or takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not self.running:
                raise StackError(f"{self.name} ended during its start: {last_line(self.log)}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready within {timeout:.0f} s: {last_line(self.log)}")
            sleep(0.02)

    def stop(self, grace: float | None = None) -> None:
        stop_children([self], grace)

    def kill(self) -> None:
        """Send SIGKILL to it and all its descendants, like a power cut, and wait until all have ended."""
        _kill_all(self.tree())
        self.wait()

    def pause(self) -> None:
        """Freeze it and all its descendants. Its connections stay open, but it does not respond."""
        _signal_all(self.tree(), signal.SIGSTOP)

    def resume(self) -> None:
        _signal_all(self.tree(), signal.SIGCONT)

    def tree(self) -> list[psutil.Process]:
        """Return the process and its descendants in any session (PostgreSQL's have their own sessions)."""
        if not self.running:
            return []
        return process_tree(ProcessIdentity.of(self.pid))

    def wait(self, timeout: float = 10) -> bool:
        """Wait for its end. Return False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


class Program(Child):
    """A child with a fixed command."""

    def __init__(self, name: str, log: Path, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        super().__init__(name, log)
        self._command = list(command)
        self.environment = environment

    def command(self) -> list[str]:
        return self._command

    def run(self, sleep: Sleep = time.sleep) -> None:
        """Run it until it ends. Raises StackError if it fails. An exception of `sleep` stops it."""
        self.launch()
        self.finish(sleep)

    def finish(self, sleep: Sleep = time.sleep) -> None:
        """Wait until a launched program ends, as `run()` does."""
        try:
            while self.poll() is None:
                sleep(0.02)
        finally:
            self.stop()
        if self.poll():
            raise StackError(f"{self.name} failed: {last_line(self.log)}")


def stop_children(children: Iterable[Child], grace: float | None = None) -> None:
    """Stop the children in parallel, each with its own signals. Return when all have ended."""
    waiting = [child for child in children if child.running]
    for attempt in range(max((len(child.stop_signals) for child in waiting), default=0)):
        for child in waiting:
            stop_signal = child.stop_signals[min(attempt, len(child.stop_signals) - 1)]
            child.resume()  # a frozen process does not receive the signal
            with suppress(ProcessLookupError):
                os.kill(child.pid, stop_signal)
        started = time.monotonic()
        for child in waiting:
            limit = child.grace if grace is None else grace
            child.wait(max(0.0, started + limit - time.monotonic()))
        waiting = [child for child in waiting if child.running]
    for child in waiting:
        child.kill()


def terminate_leftover(identity: ProcessIdentity, grace: float = 10) -> None:
    """End a process of an earlier stack, which is not our child: SIGINT first, on which all programs of the stack stop
    cleanly and quickly, then SIGKILL."""
    tree = process_tree(identity)
    _signal_all(tree[:1], signal.SIGCONT, signal.SIGINT)
    deadline = time.monotonic() + grace
    while identity.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    _kill_all(tree)


def process_tree(identity: ProcessIdentity) -> list[psutil.Process]:
    """Return the process and its descendants; empty if it has ended."""
    try:
        process = psutil.Process(identity.pid)
        return [process, *process.children(recursive=True)] if identity.alive() else []
    except psutil.NoSuchProcess:
        return []


def last_line(log: Path) -> str:
    """Return the last error in a log, or else its last line, with the log's path."""
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
    """Rotate a log that is too long. It is truncated in place, as its writers append to it."""
    with suppress(OSError):
        if log.stat().st_size > MAX_LOG_BYTES:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)


def _signal_all(processes: Iterable[psutil.Process], *signals: signal.Signals) -> None:
    for process in processes:
        for signum in signals:
            with suppress(psutil.NoSuchProcess):  # psutil compares start times, so a reused pid is safe
                process.send_signal(signum)


def _kill_all(processes: Sequence[psutil.Process], timeout: float = 10) -> None:
    """Kill the processes and wait for their end, for up to `timeout` seconds.

    A killed process that has not ended yet still holds its ports: a new server could not listen, and a connection to it
    would reach the old one.
    """
    _signal_all(processes, signal.SIGKILL)
    deadline = time.monotonic() + timeout
    while not all(has_ended(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.01)


def has_ended(process: psutil.Process) -> bool:
    """Return whether the process has ended. It may still wait for its parent to read its exit status."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
