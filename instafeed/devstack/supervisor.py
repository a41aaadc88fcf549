"""Keep child processes running until a stop is requested.

One thread runs one loop. It restarts dead children (after a delay that doubles with each failure), repairs the replicas
and trims logs. It never waits for a child, so one slow start does not delay the others.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import NoReturn, Self

from instafeed.devstack.child_process import Child, Sleep, trim_log
from instafeed.devstack.state import StackError

_MIN_RESTART_DELAY, _MAX_RESTART_DELAY = 0.2, 30.0  # seconds
_STABLE_AFTER = 30.0  # seconds; after running this long, a child's failures no longer count
_TICK_INTERVAL = 0.1
_CHORES_INTERVAL = 3.0


class StopRequested(Exception):
    """A stop was requested."""


class StopSignals:
    """Turn SIGINT, SIGTERM and SIGHUP into `StopRequested`, which only `sleep()` raises.

    So a signal, even a repeated one, cannot interrupt a start or an orderly stop in the middle.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN:
                continue  # nohup
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._asked:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            time.sleep(min(remaining, _TICK_INTERVAL))  # short, as Python continues to sleep after a signal handler
        raise StopRequested

    def request_stop(self) -> None:
        self._asked = True

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._asked = True


@dataclass
class _RestartState:
    """How often a child failed recently, and when it may restart."""

    failures: int = 0
    due: float | None = None


class Supervisor:
    """Supervise children, in the order of their start. `chores` run every few seconds; `say` receives each event."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        sleep: Sleep = time.sleep,
        say: Callable[[str], None] = lambda line: None,
        chores: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.children = list(children)
        self._restart_states = {child.name: _RestartState() for child in children}
        self._sleep = sleep
        self._say = say
        self._chores = list(chores)
        self._chores_due = 0.0

    def watch(self) -> NoReturn:
        """Loop until `sleep` raises."""
        while True:
            self.tick()
            self._sleep(_TICK_INTERVAL)

    def tick(self) -> None:
        for child in self.children:
            self._check_child(child, self._restart_states[child.name])
        if time.monotonic() >= self._chores_due:
            self._chores_due = time.monotonic() + _CHORES_INTERVAL
            for child in self.children:
                trim_log(child.log)
            for chore in self._chores:
                try:
                    chore()
                except (StackError, OSError) as error:
                    self._say(f"failed, will retry: {error}")

    def _check_child(self, child: Child, state: _RestartState) -> None:
        now = time.monotonic()
        if child.running:
            if state.failures and now - child.launched_at > _STABLE_AFTER:
                state.failures = 0
        elif state.due is None:
            self._schedule_restart(child, state, f"ended with status {child.poll()}")
        elif now >= state.due:
            state.due = None
            try:
                child.launch()
            except (StackError, OSError) as error:  # such as a full disk
                self._schedule_restart(child, state, str(error))

    def _schedule_restart(self, child: Child, state: _RestartState, reason: str) -> None:
        delay = min(_MIN_RESTART_DELAY * 2**state.failures, _MAX_RESTART_DELAY)
        state.failures += 1
        state.due = time.monotonic() + delay
        self._say(f"{child.name}: {reason}; restarting in {delay:.1f} s (log: {child.log})")
