"""A complete stack for tests, as `manage.py stack` runs it: start it, send requests, kill parts of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT, StackLayout, StackRecord, running_record
from tests import prebuilt_data

# The variables of the session's services and of the test settings must not reach the stack.
_CLEARED_PREFIXES = (
    "DATABASE",
    "REDIS",
    "CELERY",
    "SECRET_KEY",
    "MEDIA_ROOT",
    "INSTAFEED",
    "THROTTLE",
    "DJANGO",
    "PYTEST",
)


def clean_environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED_PREFIXES)} | more


def manage(
    *arguments: str, environment: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT_ROOT,
        env=clean_environment(**environment or {}),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class LiveStack:
    """`manage.py stack --empty` in its own prebuilt directory; with `demo` it contains the demo network.

    * `base_url`, `environment` (the services' URLs and the secret key), `port`, `data_dir`, `output`
    * `get()`, `post()`, …: `client` is an httpx client on `base_url`
    * `manage("verify_feeds", …)`: runs a management command on this stack
    * `process("worker")`: psutil's handle of the current `cache`, `broker`, `primary`, `replica`, `web`, `worker` or
      `beat`; after a kill the supervisor starts another process. `freeze()` and `thaw()` include its descendants.
    """

    def __init__(self, data_dir: Path | None = None, *options: str, demo: bool = False, **environment: str) -> None:
        self._own_directory = data_dir is None
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="instafeed-live-"))
        # The fuzzer runs stacks without a test session, so without prebuilt data.
        if self._own_directory and prebuilt_data.SERVICES_VARIABLE in os.environ:
            prebuilt_data.copy_stack_directory(self.data_dir)
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.base_url, timeout=10, trust_env=False)
        self.get, self.post = self.client.get, self.client.post
        self.patch, self.delete = self.client.patch, self.client.delete
        content = () if demo else ("--empty",)
        self._options = (*content, "--no-sync", "--port", str(self.port), *options)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def _output(self) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ".out")

    @property
    def record(self) -> StackRecord:
        record = running_record(self.data_dir)
        assert record is not None, self.output
        return record

    @property
    def environment(self) -> dict[str, str]:
        return self.record.environment

    @property
    def supervisor(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self, timeout: float = 240) -> LiveStack:
        """Start the stack and wait until it is ready. Raises AssertionError with its output if it ends before."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "stack", "--data-dir", str(self.data_dir), *self._options],
                cwd=PROJECT_ROOT,
                env=clean_environment(**self._environment),
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + timeout
        while "Running." not in self.output:
            assert self._process.poll() is None, self.output + self.logs()
            assert time.monotonic() < deadline, self.output + self.logs()
            time.sleep(0.05)
        return self

    def stop(self, signum: signal.Signals = signal.SIGTERM, timeout: float = 120) -> int:
        """Stop the stack; return the supervisor's exit status."""
        self.supervisor.send_signal(signum)
        return self.supervisor.wait(timeout)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self.client.close()
        self._output.unlink(missing_ok=True)
        if self._own_directory:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def manage(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return manage(*arguments, environment=self._environment | self.environment, timeout=timeout)

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.record.children[name].pid)

    def alive(self, name: str) -> bool:
        """Return whether the program runs now: not between its death and its next start."""
        try:
            return self.process(name).is_running()
        except psutil.NoSuchProcess:
            return False

    def tree(self, name: str) -> list[psutil.Process]:
        process = self.process(name)
        return [process, *process.children(recursive=True)]

    def freeze(self, name: str) -> None:
        for process in self.tree(name):
            with suppress(psutil.NoSuchProcess):  # a connection that just ended
                process.suspend()

    def thaw(self, name: str) -> None:
        for process in self.tree(name):
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def processes(self) -> list[psutil.Process]:
        """Return all processes of this stack, the supervisor first."""
        supervisor = psutil.Process(self.supervisor.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def logs(self, lines: int = 15) -> str:
        """Return the last lines of each program's log, for a failing test."""
        ends = []
        for log in sorted(StackLayout(self.data_dir).log.glob("*.log")):
            ends.append(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-lines:]))
        return "\n" + "\n".join(ends)
