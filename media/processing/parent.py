"""The parent's side: starts the child process that decodes untrusted files, sends it jobs and checks its answers.

The child is kept for many pictures, as starting one takes about 0.2 s. It gets a picture's bytes and returns those of
the variants, and the kernel cuts it off from everything else (`child.sandbox`). It dies with the thread that started
it. After any failure it is killed, and the next picture gets a new one.
"""

from __future__ import annotations

import json
import logging
import os
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
from media.processing.pipes import Pipes
from media.processing.protocol import Options, Picture, parse_picture

logger = logging.getLogger(__name__)

DEFAULT_OPTIONS = Options()
_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_CHILD_MODULE = "media.processing.child"
_START_TIMEOUT = 30.0
_MAX_ANSWER_BYTES = 16 * 1024  # a normal one has about 1,000
_MAX_FILES_BYTES = 32 * 2**20  # of all variants; one has at most a megabyte
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
        try:
            with source.open("rb") as file:
                content = file.read(options.max_bytes + 1)
            picture, files = self._process(content, options)
            for name, variant in files.items():
                (directory / name).write_bytes(variant)
        except OSError as error:
            raise ProcessingError(f"{type(error).__name__}: {error}"[:1000]) from error
        return picture

    def _process(self, content: bytes, options: Options) -> tuple[Picture, dict[str, bytes]]:
        with self._lock:
            try:
                answer, files = self._running_child().ask(content, options, self._limits.wall_seconds)
                result = _interpret_answer(answer, files, options)
            except BaseException:  # also a task's time limit: a late answer must not be taken for the next one
                self._end_child()
                raise
            if self._child and self._child.job_count >= self._limits.max_pictures:
                self._end_child()
        return result, files

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
        assert self._popen.stdin
        assert self._popen.stdout
        self._pipes = Pipes(self._popen.stdin, self._popen.stdout)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def wait_ready(self) -> None:
        started, _ = self._receive_answer(_START_TIMEOUT)
        if missing := started.get("missing"):
            logger.warning("pictures are decoded with less protection; this system does not support %s", missing)

    def ask(self, content: bytes, options: Options, seconds: float) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return its answer to a job, and the files by name.

        Raises ProcessingError, or BadPicture if the child died of the picture.
        """
        self.job_count += 1
        job = {"size": len(content), "options": asdict(options)}
        self._pipes.send(json.dumps(job).encode() + b"\n" + content)
        return self._receive_answer(seconds)

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

    def _receive_answer(self, seconds: float) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Receive one answer with its files, after which nothing may follow."""
        deadline = time.monotonic() + seconds
        try:
            answer = json.loads(self._pipes.receive_line(_MAX_ANSWER_BYTES, deadline))
            sizes = dict[str, int](answer.get("files", {}))
            if not 0 <= sum(sizes.values()) <= _MAX_FILES_BYTES or min(sizes.values(), default=0) < 0:
                raise ValueError("too large")
            files = {name: self._pipes.receive(size, deadline) for name, size in sizes.items()}
        except TimeoutError:
            raise ProcessingError(f"the child process took longer than {seconds:g} s") from None
        except EOFError:
            raise self._death() from None
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ProcessingError("the child process sent an invalid answer") from None
        if not self._pipes.is_idle:
            raise ProcessingError("the child process sent too much")
        return answer, files

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


def _interpret_answer(answer: dict[str, Any], files: dict[str, bytes], options: Options) -> Picture:
    try:
        if "refused" in answer:
            reason = Reason(answer["refused"])
        else:
            return parse_picture(answer["picture"], files, options)
    except (ValueError, TypeError, KeyError) as error:
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
