"""The parent's side: starts the child process that decodes untrusted files, sends it jobs and checks its answers.

The child is kept for many pictures, as starting one takes about 0.2 s. Its environment is empty, so it has no secrets.
It dies with the thread that started it. After any failure it is killed, and the next picture gets a new one.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from media.processing.errors import BadPicture, ProcessingError, Reason
from media.processing.protocol import Options, Picture, parse_picture

DEFAULT_OPTIONS = Options()
_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_CHILD_MODULE = "media.processing.child"
_START_TIMEOUT = 30.0
_MAX_ANSWER_BYTES = 16 * 1024  # a normal one has about 1,000
# Signals of a decoder that crashes on its input. SIGKILL, SIGTERM and others come from outside.
_CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a child process.

    `memory`: bytes of address space. The largest pictures allowed by default, 50 megapixels of WebP, take about 900 MB.
    `cpu_seconds`: CPU time per picture. A picture that needs more is refused.
    `wall_seconds`: time per picture. More means a stalled disk or an overloaded machine, so the picture is retried.
    `max_pictures`: the number of pictures after which a child is replaced.
    """

    memory: int = 1280 * 2**20
    cpu_seconds: int = 20
    wall_seconds: float = 60.0
    max_pictures: int = 500


class Processor:
    """Manages at most one child, started on first use and shared by threads, one at a time.

    A forked process starts its own child.
    """

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._child: _Child | None = None
        _processors.add(self)

    def process(self, source: Path, directory: Path, options: Options = DEFAULT_OPTIONS) -> Picture:
        """Write the variants of `source` into the existing `directory` and return the picture, which names the files.

        Raises BadPicture if a retry would fail in the same way, ProcessingError otherwise. Blocks for at most
        `Limits.wall_seconds`, plus the time in which other threads use the child.
        """
        directory = directory.absolute()
        job = {"source": str(source.absolute()), "directory": str(directory), "options": asdict(options)}
        with self._lock:
            try:
                answer = self._running_child().ask(job, self._limits.wall_seconds)
                result = _interpret_answer(answer, directory, options)
            except BaseException:  # also a task's time limit: a late answer must not be taken for the next one
                self._end_child()
                raise
            if self._child and self._child.job_count >= self._limits.max_pictures:
                self._end_child()
        return result

    def close(self) -> None:
        """Kill the child. The next picture starts another."""
        with self._lock:
            self._end_child()

    @property
    def child_pid(self) -> int | None:
        return self._child.pid if self._child else None

    def _running_child(self) -> _Child:
        if self._child and not self._child.running:
            self._end_child()
        if self._child is None:
            self._child = _Child(self._limits)
            self._child.wait_ready()
        return self._child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child:
            child.kill()

    def forget_child(self) -> None:
        """Forget the child after a fork: it belongs to the other process, where a thread may hold the lock."""
        self._lock = threading.Lock()
        child, self._child = self._child, None
        if child:
            child.forget()


class _Child:
    """The process and its two pipes."""

    def __init__(self, limits: Limits) -> None:
        self.job_count = 0
        try:
            self._popen = subprocess.Popen(
                child_command(limits),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=_PROJECT_ROOT,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise ProcessingError(f"cannot start the child process: {error}") from None

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_ready(self) -> None:
        self._read_line(_START_TIMEOUT)

    def ask(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return its answer to a job. Raises ProcessingError, or BadPicture if the child died of the picture."""
        self.job_count += 1
        assert self._popen.stdin
        try:
            self._popen.stdin.write(json.dumps(job).encode() + b"\n")
        except OSError as error:
            raise ProcessingError(f"the child process is gone: {error}") from None
        try:
            answer = json.loads(self._read_line(seconds))
        except (ValueError, RecursionError):
            raise ProcessingError("the child process sent an invalid answer") from None
        return answer if isinstance(answer, dict) else {}

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
        self.forget()

    def forget(self) -> None:
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe
            pipe.close()
        if self._popen.returncode is None:
            self._popen.returncode = 0  # another process waits for it

    def _read_line(self, seconds: float) -> bytes:
        """Read one line, after which nothing may follow."""
        deadline = time.monotonic() + seconds
        line = b""
        assert self._popen.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ProcessingError(f"the child process took longer than {seconds:g} s")
                part = os.read(self._popen.stdout.fileno(), _MAX_ANSWER_BYTES)
                line += part
                if not part:
                    raise self._death()
                if len(line) > _MAX_ANSWER_BYTES:
                    raise ProcessingError("the child process sent too much")
        return line

    def _death(self) -> Exception:
        """Return the exception for a child that has closed its end of the pipe."""
        try:
            signal_number = -self._popen.wait(1)
        except subprocess.TimeoutExpired:
            return ProcessingError("the child process has closed its pipe")
        if not self.job_count:
            return ProcessingError("the child process ended at its start")
        if signal_number == signal.SIGXCPU:
            return BadPicture(Reason.TOO_SLOW)
        if signal_number in _CRASH_SIGNALS:
            return BadPicture(Reason.DAMAGED)
        return ProcessingError(f"the child process ended: status {-signal_number}")


def child_command(limits: Limits) -> list[str]:
    """Return the command line of a child of this process with these limits."""
    return [sys.executable, "-s", "-m", _CHILD_MODULE, *map(str, (os.getpid(), limits.memory, limits.cpu_seconds))]


def _interpret_answer(answer: dict[str, Any], directory: Path, options: Options) -> Picture:
    try:
        if "refused" in answer:
            reason = Reason(answer["refused"])
        elif "failed" in answer:
            raise ProcessingError(str(answer["failed"]))
        else:
            return parse_picture(answer["picture"], directory, options)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ProcessingError(f"the child process sent an invalid answer: {error!r}") from None
    raise BadPicture(reason)


def _forget_children() -> None:
    for processor in list(_processors):
        processor.forget_child()


_processors: weakref.WeakSet[Processor] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_children)
_default_processor = Processor()


def process(source: Path, directory: Path, options: Options = DEFAULT_OPTIONS) -> Picture:
    """Call `Processor.process` of this process's shared processor, which has the default limits."""
    return _default_processor.process(source, directory, options)
