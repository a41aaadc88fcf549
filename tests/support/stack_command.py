"""`manage.py stack` as a child process: start it, read its output and its record, signal it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import httpx
import psutil

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT, StackRecord, running_record
from tests.support.eventually import eventually_started
from tests.support.processes import clean_environment, manage_output

STOP_TIMEOUT = 300  # seconds; above the sum of what the programs may take to stop


class StackCommand:
    """`manage.py stack --empty` in an existing directory. Leaving the `with` block stops it.

    * `data_dir`, `port`, `base_url`; `get()`, `post()` and `client`, an httpx client for `base_url`
    * `start()` returns when it is ready, `launch()` at once; `stop()` sends a signal and returns the status; all can be
      repeated
    * `output` since the last start; `record` and `environment` of the running stack; `supervisor`, its process
    * `process("worker")`: the current process of a part; `children()`: those that the supervisor started;
      `processes()`: all of them with their descendants, the supervisor first
    """

    def __init__(self, data_dir: Path, *options: str, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.base_url, timeout=30, trust_env=False)
        self.get, self.post = self.client.get, self.client.post
        self._options = ("--empty", "--no-sync", "--port", str(self.port), *options)
        self._environment = environment
        self._output = data_dir.with_name(data_dir.name + ".out")  # the stack refuses foreign files in its directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self.client.close()
        self._output.unlink(missing_ok=True)

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def supervisor(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "never started"
        return self._process

    @property
    def record(self) -> StackRecord:
        record = running_record(self.data_dir)
        assert record is not None, self.output
        return record

    @property
    def environment(self) -> dict[str, str]:
        """The variables that commands on this stack need."""
        return self._environment | self.record.environment

    def start(self) -> Self:
        """Start the stack and wait until it is ready. Fail with its output if it ends before."""
        self.launch()
        eventually_started(self._has_started)
        return self

    def launch(self) -> None:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "stack", "--data-dir", str(self.data_dir), *self._options],
                cwd=PROJECT_ROOT,
                env=clean_environment(**self._environment),
                stdout=output,
                stderr=output,
            )

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and return the supervisor's exit status."""
        self.supervisor.send_signal(signum)
        return self.supervisor.wait(STOP_TIMEOUT)

    def manage(self, *arguments: str) -> str:
        """Run a management command on this stack and return its output."""
        return manage_output(*arguments, environment=self.environment)

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.record.children[name].pid)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.supervisor.pid).children()

    def processes(self) -> list[psutil.Process]:
        supervisor = psutil.Process(self.supervisor.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def _has_started(self) -> bool:
        assert self.supervisor.poll() is None, self.output
        return "Running." in self.output
