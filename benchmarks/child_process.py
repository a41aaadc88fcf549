"""A helper process with a pipe: what measures must not share the interpreter lock of what is measured.

Helpers are spawned, not forked: they know nothing of Django, its threads or its connections. They end when
their pipe does, however their parent ended.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from benchmarks.results import BenchmarkError

_spawn = multiprocessing.get_context("spawn")


class ChildProcess:
    """Runs `target(pipe, *arguments)` in a process of its own; `target` is a module's function."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_run, args=(target, theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        self._pipe.send(message)

    def receive(self, timeout: float = 120.0) -> Any:
        """The helper's next message; BenchmarkError if it is dead or says nothing."""
        try:
            if self._pipe.poll(timeout):
                return self._pipe.recv()
        except (EOFError, ConnectionError):
            raise BenchmarkError("a helper process died") from None
        raise BenchmarkError(f"a helper process said nothing for {timeout:.0f} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(0.5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def _run(target: Callable[..., None], pipe: Connection, *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    with suppress(EOFError, ConnectionError):
        target(pipe, *arguments)
