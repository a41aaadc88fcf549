"""The parent's side: a child process that decodes strangers' files, and may die of it without taking us along.

It lives on from picture to picture (starting one takes about 0.2 s), is given no secret (its environment is empty) and
dies with the thread that first needed it. After any failure it is killed, and the next picture gets a new one.
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
_MAX_ANSWER_BYTES = 16 * 1024  # bytes; a real one has about 1,000
# How a decoder dies of what it read. SIGKILL, SIGTERM and the like come from outside.
_CRASH_SIGNALS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use.

    `memory`: bytes of address space. The largest pictures allowed by default, 50 megapixels of WebP, take about 900 MB.
    `cpu_seconds`: per picture, whose fault it is if they do not suffice. `wall_seconds`: per picture too, but a stopped
    disk or a crowded machine is to blame. `pictures`: a child is replaced after so many.
    """

    memory: int = 1280 * 2**20
    cpu_seconds: int = 20
    wall_seconds: float = 60.0
    pictures: int = 500


class Processor:
    """One child at most, started when it is first needed. For any number of threads, which take turns; a forked
    process starts a child of its own."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._child: _Child | None = None
        _processors.add(self)

    def process(self, source: Path, directory: Path, options: Options = DEFAULT_OPTIONS) -> Picture:
        """Writes the variants of `source` into the existing `directory`; only files named in the answer count.

        Raises BadPicture if another try would end the same way, ProcessingError if it may not. Blocks for
        `Limits.wall_seconds` at most, and while other threads have their turns.
        """
        directory = directory.absolute()
        job = {"source": str(source.absolute()), "directory": str(directory), "options": asdict(options)}
        with self._lock:
            try:
                answer = self._running_child().ask(job, self._limits.wall_seconds)
                result = _interpret_answer(answer, directory, options)
            except BaseException:  # a task's time limit too: what the child says later must not be the next answer
                self._end_child()
                raise
            if self._child and self._child.asked >= self._limits.pictures:
                self._end_child()
        return result

    def close(self) -> None:
        """Ends the child; the next picture starts another."""
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

    def _forget_child(self) -> None:
        """After a fork: the child is the parent's, and a thread that is not here may have held the lock."""
        self._lock = threading.Lock()
        child, self._child = self._child, None
        if child:
            child.forget()


class _Child:
    """The process and its two pipes."""

    def __init__(self, limits: Limits) -> None:
        self.asked = 0
        try:
            self._popen = subprocess.Popen(
                _command(limits),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=_PROJECT_ROOT,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise ProcessingError(f"the picture process cannot be started: {error}") from None

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_ready(self) -> None:
        self._read_line(_START_TIMEOUT)

    def ask(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Its answer within so many seconds. Raises ProcessingError, or BadPicture if the child died of the picture."""
        self.asked += 1
        assert self._popen.stdin
        try:
            self._popen.stdin.write(json.dumps(job).encode() + b"\n")
        except OSError as error:
            raise ProcessingError(f"the picture process has gone: {error}") from None
        try:
            answer = json.loads(self._read_line(seconds))
        except (ValueError, RecursionError):
            raise ProcessingError("the picture process answers nonsense") from None
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
            self._popen.returncode = 0  # not this process's to wait for

    def _read_line(self, seconds: float) -> bytes:
        """One line and nothing after it."""
        deadline = time.monotonic() + seconds
        line = b""
        assert self._popen.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise ProcessingError(f"the picture process took longer than {seconds:g} s")
                part = os.read(self._popen.stdout.fileno(), _MAX_ANSWER_BYTES)
                line += part
                if not part:
                    raise self._death()
                if len(line) > _MAX_ANSWER_BYTES:
                    raise ProcessingError("the picture process answers without end")
        return line

    def _death(self) -> Exception:
        """Why it closed its end; a child that did so and lives on is as good as dead."""
        try:
            died_of = -self._popen.wait(1)
        except subprocess.TimeoutExpired:
            return ProcessingError("the picture process has closed its pipe")
        if not self.asked:
            return ProcessingError("the picture process ended at its start")
        if died_of == signal.SIGXCPU:
            return BadPicture(Reason.TOO_SLOW)
        if died_of in _CRASH_SIGNALS:
            return BadPicture(Reason.DAMAGED)
        return ProcessingError(f"the picture process ended: status {-died_of}")


def _command(limits: Limits) -> list[str]:
    return [sys.executable, "-s", "-m", _CHILD_MODULE, *map(str, (os.getpid(), limits.memory, limits.cpu_seconds))]


def _interpret_answer(answer: dict[str, Any], directory: Path, options: Options) -> Picture:
    try:
        if "refused" in answer:
            refused = Reason(answer["refused"])
        elif "failed" in answer:
            raise ProcessingError(str(answer["failed"]))
        else:
            return parse_picture(answer["picture"], directory, options)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ProcessingError(f"the picture process answers nonsense: {error!r}") from None
    raise BadPicture(refused)


def _forget_children() -> None:
    for processor in list(_processors):
        processor._forget_child()


_processors: weakref.WeakSet[Processor] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_children)
_default_processor = Processor()


def process(source: Path, directory: Path, options: Options = DEFAULT_OPTIONS) -> Picture:
    """`Processor.process` by this process's own child with the default limits."""
    return _default_processor.process(source, directory, options)
