"""The stack that a benchmark runs on: the data services with fsync, migrated, and the programs beside them.

Importing this module reads no settings. `benchmark_stack` reads them once the services' URLs are in the environment.
All programs are stopped at the end of the block in reverse order, also on Ctrl-C; the servers end with this process
even if it is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import django

from benchmarks import cpu
from benchmarks.cpu import CpuMeter
from benchmarks.results import BenchmarkError
from instafeed.devstack.child_process import Child, Program
from instafeed.devstack.data_services import DataServices
from instafeed.devstack.ports import free_port
from instafeed.devstack.programs import Web, child_environment
from instafeed.devstack.state import PROJECT_ROOT

_T = TypeVar("_T")


@dataclass(frozen=True)
class Stack:
    """The data services, and `start()` for other programs that run until the benchmark ends."""

    services: DataServices
    children: ExitStack

    def start(self, child: Child) -> None:
        """Start a program and wait until it is ready."""
        self.services.track(child)
        self.children.callback(child.stop)
        child.start()

    def web(self, workers: int) -> WebServer:
        """Start gunicorn as the stack runs it, with the views of `benchmarks.urls`."""
        site = WebServer(self.services.layout, self.services.environment, free_port(), workers)
        self.start(site)
        return site

    def fan_out_worker(self, processes: int = 1) -> Worker:
        """Start a Celery worker for the fan-out queue."""
        worker = Worker(self.services, "fan_out", processes)
        self.start(worker)
        return worker

    def notifications_worker(self) -> Worker:
        """Start a Celery worker of one process for the notifications queue."""
        worker = Worker(self.services, "notifications")
        self.start(worker)
        return worker

    def cpu_meter(self, *, idle_seconds: float = cpu.IDLE_SECONDS, **programs: Sequence[Child]) -> CpuMeter:
        """Return a meter for the programs by part, Redis and PostgreSQL. Call it while nothing happens."""
        services = self.services
        servers: dict[str, Sequence[Child]] = {
            "redis": [services.cache, services.broker],
            "postgresql": [services.primary, *services.replicas],
        }
        return CpuMeter({**programs, **servers}, idle_seconds=idle_seconds)

    def checkpoint(self) -> None:
        """Have all PostgreSQL servers write what is only in memory, so that they do not do it while we measure."""
        for server in (self.services.primary, *self.services.replicas):
            with server.connect() as connection:
                connection.execute("CHECKPOINT")

    def empty(self) -> None:
        """Empty the database and both Redis servers. Programs that use them must be stopped before."""
        from django.db import connections

        connections.close_all()
        self.services.reset()
        _migrate()


class WebServer(Web):
    def command(self) -> list[str]:
        return [*super().command()[:-1], "benchmarks.wsgi:application"]

    def launch(self) -> None:
        self.environment = {**(self.environment or {}), "DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
        super().launch()


class Worker(Program):
    stop_signals = (signal.SIGTERM, signal.SIGQUIT)
    death_signal = signal.SIGQUIT

    def __init__(self, services: DataServices, queue: str, processes: int = 1) -> None:
        command = [
            *(sys.executable, "-m", "celery", "-A", "instafeed", "worker", "--queues", queue),
            *("--concurrency", str(processes), "--hostname", f"bench-{queue}-{os.getpid()}@%h"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
        ]
        super().__init__("worker", services.layout.log / "worker.log", command, child_environment(services.environment))
        self.queue = queue
        self.directory = PROJECT_ROOT

    def ready(self) -> bool:
        """Return whether the worker has sent its first heartbeat."""
        from instafeed.core.cache import keys
        from instafeed.core.cache.client import get_client

        return self.running and bool(get_client().exists(keys.worker(self.queue)))


@contextmanager
def benchmark_stack(data_dir: Path | None) -> Iterator[Stack]:
    """Start and migrate a stack in `data_dir` or a temporary directory, and set up Django for it.

    Raise BenchmarkError if the database has users: a benchmark would mix its rows with theirs.
    """
    with ExitStack() as children:
        directory = data_dir or children.enter_context(
            tempfile.TemporaryDirectory(prefix="instafeed-bench-", ignore_cleanup_errors=True)
        )
        services = children.enter_context(DataServices(Path(directory)))
        os.environ.update(child_environment(services.environment), LOG_LEVEL="WARNING")
        django.setup()
        _migrate()
        _require_no_users(directory)
        yield Stack(services, children)


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0)
    connections.close_all()


def _require_no_users(directory: Path | str) -> None:
    from accounts.models import User

    if User.objects.exists():
        raise BenchmarkError(f"there are accounts in {directory}: a benchmark needs an empty stack")


def wait_for(condition: Callable[[], _T | None], *, timeout: float, every: float, what: str) -> _T:
    """Call `condition()` every `every` seconds and return its first true value. BenchmarkError after `timeout`."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what} took longer than {timeout:.0f} s")
        time.sleep(every)
    return value


def load_average() -> float:
    """Return the machine's load of the last minute, which tells how far to trust absolute numbers."""
    return os.getloadavg()[0]


def log(line: str) -> None:
    """Print a line of progress to standard error; standard output has the result only."""
    print(f"  {line}", file=sys.stderr, flush=True)
