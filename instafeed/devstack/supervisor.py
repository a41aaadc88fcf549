"""Keeps children running until it is asked to stop.

One thread, one loop: it starts what died (after a pause that doubles with each failure), has the replica
mended, and trims logs. It never waits for a child, so a slow start of one delays no other.
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
_STABLE_AFTER = 30.0  # a child that ran so long has its failures forgiven
_TICK_INTERVAL = 0.1


class StopRequested(Exception):
    """The stack was asked to end."""


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP become `StopRequested`, raised by `sleep()` and nowhere else.

    So no signal tears a start or an ordered end apart, however often it comes.
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
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _TICK_INTERVAL))  # Python goes on sleeping after a signal's handler has run
        raise StopRequested

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._asked = True


@dataclass
class _RestartState:
    """How often a child died lately, and when it may start again."""

    failures: int = 0
    due: float | None = None


class Supervisor:
    """Children in the order of their start. `chores` are called every few seconds, `say` with each event."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        sleep: Sleep = time.sleep,
        say: Callable[[str], None] = lambda line: None,
        chores: Sequence[Callable[[], None]] = (),
        chores_every: float = 3.0,
    ) -> None:
        self.children = list(children)
        self._fates = {child.name: _RestartState() for child in children}
        self._sleep = sleep
        self._say = say
        self._chores = list(chores)
        self._chores_every = chores_every
        self._chores_due = 0.0

    def watch(self) -> NoReturn:
        """Returns only by what `sleep` raises."""
        while True:
            self.tick()
            self._sleep(_TICK_INTERVAL)

    def tick(self) -> None:
        for child in self.children:
            self._look_after(child, self._fates[child.name])
        if time.monotonic() >= self._chores_due:
            self._chores_due = time.monotonic() + self._chores_every
            for child in self.children:
                trim_log(child.log)
            for chore in self._chores:
                try:
                    chore()
                except (StackError, OSError) as error:
                    self._say(f"will be tried again: {error}")

    def _look_after(self, child: Child, fate: _RestartState) -> None:
        now = time.monotonic()
        if child.running:
            if fate.failures and now - child.launched_at > _STABLE_AFTER:
                fate.failures = 0
        elif fate.due is None:
            self._put_off(child, fate, f"ended with status {child.poll()}")
        elif now >= fate.due:
            fate.due = None
            try:
                child.launch()
            except (StackError, OSError) as error:  # a full disk, say
                self._put_off(child, fate, str(error))

    def _put_off(self, child: Child, fate: _RestartState, reason: str) -> None:
        pause = min(_MIN_RESTART_DELAY * 2**fate.failures, _MAX_RESTART_DELAY)
        fate.failures += 1
        fate.due = time.monotonic() + pause
        self._say(f"{child.name}: {reason}; starting it again in {pause:.1f} s (log: {child.log})")
