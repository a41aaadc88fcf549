"""Run load generators and probes in child processes, which do not share the interpreter lock of the measured code.

Child processes are spawned, not forked: they inherit neither Django nor its threads and connections. They end when
their pipe is closed, even if the parent was killed.
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
    """Run `target(pipe, *arguments)` in a process of its own; `target` is a module-level function."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._pipe, child_pipe = _spawn.Pipe()
        self._process = _spawn.Process(target=_run, args=(target, child_pipe, *arguments), daemon=True)
        self._process.start()
        child_pipe.close()

    def send(self, message: Any) -> None:
        self._pipe.send(message)

    def receive(self, timeout: float = 120.0) -> Any:
        """Return the next message. Raise BenchmarkError if the process is dead or silent for `timeout` seconds."""
        try:
            if self._pipe.poll(timeout):
                return self._pipe.recv()
        except (EOFError, ConnectionError):
            raise BenchmarkError("a child process died") from None
        raise BenchmarkError(f"a child process sent nothing for {timeout:.0f} s")

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
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole process group; the parent stops this process
    with suppress(EOFError, ConnectionError):
        target(pipe, *arguments)
