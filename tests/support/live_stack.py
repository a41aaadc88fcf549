"""The whole system, running: send requests to it, pause and kill parts of it, restart one with other settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from instafeed.devstack.child_process import Child, Program, stop_children
from instafeed.devstack.data_services import DataServices
from instafeed.devstack.ports import free_port
from instafeed.devstack.programs import Beat, Stream, Web, workers
from instafeed.devstack.supervisor import Supervisor
from tests.support.eventually import START_TIMEOUT, eventually
from tests.support.processes import manage_output

_SCOPES = (
    *("ANON", "USER", "REGISTER", "LOGIN", "LOGIN_ADDRESS", "UPLOAD", "EXPORT", "ZIP_EXPORT"),
    *("POST", "COMMENT", "FOLLOW", "BLOCK", "REPORT", "PROFILE", "PRIVACY", "AVATAR", "MAIL", "RESET"),
)
NO_RATE_LIMITS = {f"THROTTLE_{scope}": "off" for scope in _SCOPES}
_TICK_INTERVAL = 0.1  # seconds
_LOG_LINES = 15


class LiveStack:
    """Web server, streams, worker and beat on migrated data services, restarted by the supervisor of `manage.py stack`.

    * `base_url`; `client`, an httpx client for it; `get()`, `post()`, `patch()`, `delete()`
    * `environment`: the variables that commands on this stack need; `manage("verify_feeds", …)` runs one
    * `metric("instafeed_up", part="cache")`: the value on /metrics
    * `health("broker")`: the report on /health
    * `wait_for_replica()`: then a read finds the same on the replica as on the primary
    * `data_dir`, `log("worker")` and `services`, the data services
    * `stream_url`: where streams are opened
    * parts: `cache`, `broker`, `primary`, `replica`, `web`, `stream`, `worker` (all queues), `worker-fan-out`, `beat`
    * `with paused("broker"):` the part hangs. `kill("worker")`: its processes are killed; the supervisor restarts it.
    * `with restarted("worker-fan-out", FAN_OUT_RATE_LIMIT="150"):` the program runs with other settings.

    `settings` are environment variables for all programs. Rate limits are off, unless set. `broker` replaces the part
    of that name; it runs already, and CELERY_BROKER_URL names it.
    """

    def __init__(
        self,
        services: DataServices,
        *,
        web_workers: int = 2,
        celery_workers: int = 2,
        broker: Child | None = None,
        **settings: str,
    ) -> None:
        self.services = services
        self.data_dir = services.layout.root
        self.port = free_port()
        stream_port = free_port()
        self.stream_url = f"http://127.0.0.1:{stream_port}/api/v1/stream"
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.environment = services.environment | NO_RATE_LIMITS | {"SITE_URL": self.base_url} | settings
        self.connect()
        programs = (
            Web(services.layout, self.environment, self.port, web_workers, stream_port=stream_port),
            Stream(services.layout, self.environment, stream_port, web_port=self.port),
            *workers(services.layout, self.environment, self.port, celery_workers),
            Beat(services.layout, self.environment),
        )
        self._programs: dict[str, Program] = {program.name: program for program in programs}
        self._children: dict[str, Child] = {child.name: child for child in services.children} | self._programs
        if broker:
            self._children["broker"] = broker
        self._supervisor = self._new_supervisor()
        self._changing = threading.Lock()  # held while a part is stopped, so that the supervisor does not restart it
        self._stopping = threading.Event()
        # Its children end with the thread that started them, so one thread supervises until the stack is closed.
        self._thread = threading.Thread(target=self._supervise, name="supervisor")

    def __enter__(self) -> Self:
        try:
            for program in self._programs.values():
                self.services.track(program)
                program.launch()
            for name in ("web", "stream"):
                self._programs[name].wait_ready(START_TIMEOUT)
        except BaseException:
            stop_children(self._programs.values())
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._stopping.set()
        with self._changing:
            stop_children(self._programs.values())
        self._thread.join()

    def connect(self) -> None:
        """Open a new client, without connections to a web process that has ended."""
        self.client = httpx.Client(base_url=self.base_url, timeout=100, trust_env=False)
        self.get, self.post = self.client.get, self.client.post
        self.patch, self.delete = self.client.patch, self.client.delete

    def manage(self, *arguments: str) -> str:
        """Run a management command on this stack and return its output. Fail if the command fails."""
        return manage_output(*arguments, environment=self.environment)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels on /metrics. Any web process may accept the connection."""
        response = httpx.get(f"{self.base_url}/metrics", trust_env=False, timeout=60)
        assert response.status_code == 200, response.text
        samples = (sample for family in text_string_to_metric_families(response.text) for sample in family.samples)
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    def health(self, part: str) -> dict[str, Any]:
        """Return the report of a part on /health. It lacks most fields if the part answered too late."""
        report: dict[str, Any] = self.get("/health").json()["checks"][part]
        return report

    def wait_for_replica(self) -> None:
        """Wait until the replica has everything that is committed now.

        A test needs this between a wait for what workers do and a read through the API: a reader who wrote nothing may
        read from the replica, which may be behind what the test has seen.
        """
        with self.services.primary.connect() as primary:
            position = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()

        def has_replayed() -> bool:
            try:
                with self.services.replica.connect() as replica:
                    query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
                    return replica.execute(query, position).fetchone() == (True,)
            except psycopg.OperationalError:  # an earlier test has killed it, and it starts again
                return False

        eventually(has_replayed)

    def part(self, name: str) -> Child:
        return self._children[name]

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """Stop the processes of a part with SIGSTOP. Its connections stay open, and it does not answer."""
        child = self._children[name]
        child.pause()
        try:
            yield
        finally:
            child.resume()

    def kill(self, name: str) -> None:
        """Kill all processes of a part. The supervisor starts it again, and soon, however many tests have done this."""
        with self._changing:
            self._children[name].kill()
            self._supervisor = self._new_supervisor()  # the old one waits longer, up to 30 s, after each failure

    def is_running(self, name: str) -> bool:
        with self._changing:
            return self._children[name].running

    @contextmanager
    def restarted(self, name: str, **settings: str) -> Iterator[None]:
        """Run a program with these settings, then with its own again. The data services keep running."""
        program = self._programs[name]
        own = dict(program.environment or {})
        self._restart(program, own | settings)
        try:
            yield
        finally:
            self._restart(program, own)

    def _restart(self, program: Program, environment: dict[str, str]) -> None:
        self.client.close()  # a web server that stops waits for open connections
        with self._changing:
            program.stop()
            program.environment = environment
            program.launch()
        program.wait_ready(START_TIMEOUT)
        self.connect()

    def _new_supervisor(self) -> Supervisor:
        return Supervisor([*self._children.values()], chores=[replica.mend for replica in self.services.replicas])

    def _supervise(self) -> None:
        while not self._stopping.wait(_TICK_INTERVAL):
            with self._changing:
                if not self._stopping.is_set():
                    self._supervisor.tick()

    def log(self, name: str) -> Path:
        return self._children[name].log

    def logs(self) -> str:
        """Return the last lines of each program's log, for a failing test."""
        ends = []
        for log in sorted(self.services.layout.log.glob("*.log")):
            ends.append(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:]))
        return "\n" + "\n".join(ends)
