"""The whole deployment as one context manager: what `python -m deploy.loopback` and its tests run."""

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
_APP_PREFIXES = ("api-", "worker-", "beat")
_COLLECTSTATIC = ["python", "manage.py", "collectstatic", "--noinput"]
_START_TIMEOUT = 120.0  # seconds


class Deployment:
    """Entering starts everything in the order of its dependencies; leaving ends it the other way round.

    * `base_url`: nginx. `programs`: by the service's name, each with `pid`, `stop()`, `start()`, `kill()`.
    * `variables`: what the file's variables are, as .env and the environment say it to Compose.

    Secrets that the file demands are made once for the directory. StackError, one line, for what cannot be.
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
        self._given = dict(variables)
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
        """Who asks before who answers."""
        named = self.programs
        stop_children(named[name] for name in named if name == "nginx")
        stop_children(named[name] for name in named if name.startswith(_APP_PREFIXES))
        stop_children(named[name] for name in named if name != "postgres")
        stop_children(named.values())

    def _read(self) -> None:
        shutil.rmtree(self.root / "mounts", ignore_errors=True)  # of the last start
        layout = StackLayout(self.root / "state")
        generated = load_or_create_secrets(layout, *sorted(compose.required_variables(COMPOSE_FILE)))
        self.variables = {
            **generated,
            "HTTPS_ONLY": "false",  # nothing here ends TLS
            "PUBLIC_URL": self.base_url,
            "AWS_S3_PUBLIC_ENDPOINT_URL": self.base_url,
            **self._given,
        }
        self.services = compose.read_services(COMPOSE_FILE, self.variables)
        hosts = {name for name, service in self.services.items() if not service.profiles}
        self._make = ProgramFactory(HostMapping(self.root), hosts)

    def _start(self) -> None:
        services, make = self.services, self._make
        self._say("PostgreSQL with its replica, both Redis servers, object store ...")
        for name in ("redis", "redis-broker"):
            self._launch(make.redis(services[name]))
        self._launch(self._object_store())
        self._launch(make.postgres(services["postgres"]))
        for name in ("postgres", "redis", "redis-broker", "minio"):
            self._until_ready(self.programs[name])
        self._launch(make.postgres(services["postgres-replica"]))
        self._say("Migrations, static files ...")
        self._prepare()
        self._until_ready(self.programs["postgres-replica"])
        self._say("Web servers, workers, beat, nginx ...")
        for name, service in services.items():
            if name.startswith(_APP_PREFIXES):
                port = make.places.port(name, 8000) if name.startswith("api-") else None
                self._launch(make.app(service, port))
        for name in self.programs:
            self._until_ready(self.programs[name])
        self._launch(nginx.nginx_program(services["nginx"], make, self.port))
        self._until_ready(self.programs["nginx"])

    def _prepare(self) -> None:
        """What the service `migrate` does, and what the image holds already."""
        migrate = self.services["migrate"]
        image = Service(**{**vars(migrate), "name": "image", "command": _COLLECTSTATIC})
        steps = [self._make.app(service) for service in (migrate, image)]
        try:
            for step in steps:
                step.launch()
            for step in steps:
                step.finish(self._sleep)
        finally:
            stop_children(steps)

    def _object_store(self) -> ServiceProgram:
        port = self._make.places.port("minio", 9000)
        bucket = self.services["minio-init"].environment["BUCKET"]
        command = [sys.executable, "-m", "deploy.loopback.object_store", str(port), bucket, str(_BUCKET_POLICY)]
        log = self._make.places.directory("log") / "minio.log"
        program = ServiceProgram("minio", log, command, {"PATH": os.environ.get("PATH", os.defpath)})
        program.directory = PROJECT_ROOT
        program.port = port
        return program

    def _launch(self, program: ServiceProgram) -> None:
        self.programs[program.name] = program
        program.launch()

    def _until_ready(self, program: ServiceProgram) -> None:
        program.wait_ready(_START_TIMEOUT, self._sleep)
