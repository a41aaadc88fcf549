"""The whole deployment as one context manager, for `python -m deploy.loopback` and its tests."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.loopback import compose, nginx
from deploy.loopback.compose import Service
from deploy.loopback.host_mapping import HostMapping
from deploy.loopback.programs import ProgramFactory, ServiceProgram
from instafeed.devstack.child_process import Child, Sleep, stop_children
from instafeed.devstack.state import PROJECT_ROOT, StackLayout, load_or_create_secrets, lock_directory

COMPOSE_FILE = PROJECT_ROOT / "docker-compose.yml"
_BUCKET_POLICY = PROJECT_ROOT / "deploy" / "minio" / "public-read.json"
_APP_PREFIXES = ("api-", "stream", "worker-", "beat")
_SERVER_PREFIXES = ("api-", "stream")
_COLLECTSTATIC = ["python", "manage.py", "collectstatic", "--noinput"]
_START_TIMEOUT = 120.0  # seconds


class Deployment:
    """Starts all services in dependency order on entering, and stops them in reverse order on leaving.

    * `base_url`: nginx's URL.
    * `programs`: by service name, each with `pid`, `stop()`, `start()`, `kill()`.
    * `variables`: values for the file's variables, as .env and the environment give them to Compose.

    Required secrets are created once and stored in the directory. Raises StackError with one line.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int,
        *,
        variables: Mapping[str, str],
        sleep: Sleep = time.sleep,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.root = data_dir.absolute()
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.programs: dict[str, ServiceProgram] = {}
        self.services: dict[str, Service] = {}
        self._overrides = dict(variables)
        self._sleep = sleep
        self._say = say
        self._exit = ExitStack()

    @property
    def children(self) -> list[Child]:
        return list(self.programs.values())

    def __enter__(self) -> Self:
        nginx.nginx_executable()
        with ExitStack() as undo:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            undo.enter_context(lock_directory(StackLayout(self.root / "state")))
            undo.callback(self.stop)
            self._read()
            self._start()
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def stop(self) -> None:
        """Stop clients before the services that they use."""
        named = self.programs
        stop_children(named[name] for name in named if name == "nginx")
        stop_children(named[name] for name in named if name.startswith(_APP_PREFIXES))
        stop_children(named[name] for name in named if name != "postgres")
        stop_children(named.values())

    def _read(self) -> None:
        shutil.rmtree(self.root / "mounts", ignore_errors=True)  # from the last start
        layout = StackLayout(self.root / "state")
        generated = load_or_create_secrets(layout, *sorted(compose.required_variables(COMPOSE_FILE)))
        self.variables = {
            **generated,
            "HTTPS_ONLY": "false",  # there is no TLS here
            "PUBLIC_URL": self.base_url,
            "AWS_S3_PUBLIC_ENDPOINT_URL": self.base_url,
            **self._overrides,
        }
        self.services = compose.read_services(COMPOSE_FILE, self.variables)
        hosts = {name for name, service in self.services.items() if not service.profiles}
        self._factory = ProgramFactory(HostMapping(self.root), hosts)

    def _start(self) -> None:
        services, factory = self.services, self._factory
        self._say("PostgreSQL with its replica, both Redis servers, object store ...")
        for name in ("redis", "redis-broker"):
            self._launch(factory.redis(services[name]))
        self._launch(self._object_store())
        primary = services["postgres"].environment["POSTGRES_PRIMARY"]
        (replica,) = {"postgres", "postgres-replica"} - {primary}
        self._launch(factory.postgres(services[primary]))
        for name in (primary, "redis", "redis-broker", "minio"):
            self._wait_until_ready(self.programs[name])
        self._launch(factory.postgres(services[replica]))
        self._say("Migrations, static files ...")
        self._prepare()
        self._wait_until_ready(self.programs[replica])
        self._say("Web servers, streams, workers, beat, nginx ...")
        for name, service in services.items():
            if name.startswith(_APP_PREFIXES):
                port = factory.mapping.port(name, 8000) if name.startswith(_SERVER_PREFIXES) else None
                self._launch(factory.app(service, port))
        for name in self.programs:
            self._wait_until_ready(self.programs[name])
        self._launch(nginx.nginx_program(services["nginx"], factory, self.port))
        self._wait_until_ready(self.programs["nginx"])

    def _prepare(self) -> None:
        """Run the service `migrate`, and collect the static files, which the image contains."""
        migrate = self.services["migrate"]
        image = Service(**{**vars(migrate), "name": "image", "command": _COLLECTSTATIC})
        steps = [self._factory.app(service) for service in (migrate, image)]
        try:
            for step in steps:
                step.launch()
            for step in steps:
                step.finish(self._sleep)
        finally:
            stop_children(steps)

    def _object_store(self) -> ServiceProgram:
        port = self._factory.mapping.port("minio", 9000)
        bucket = self.services["minio-init"].environment["BUCKET"]
        command = [sys.executable, "-m", "deploy.loopback.object_store", str(port), bucket, str(_BUCKET_POLICY)]
        log = self._factory.mapping.directory("log") / "minio.log"
        program = ServiceProgram("minio", log, command, {"PATH": os.environ.get("PATH", os.defpath)})
        program.directory = PROJECT_ROOT
        program.port = port
        return program

    def _launch(self, program: ServiceProgram) -> None:
        self.programs[program.name] = program
        program.launch()

    def _wait_until_ready(self, program: ServiceProgram) -> None:
        program.wait_ready(_START_TIMEOUT, self._sleep)
