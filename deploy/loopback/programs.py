"""Services of docker-compose.yml as child processes, with their commands, environments and signals."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.loopback.compose import Service
from deploy.loopback.host_mapping import HostMapping
from instafeed.devstack.child_process import Child, Program
from instafeed.devstack.postgres_wheel import POSTGRES_BIN, chown_to_account, make_programs_executable, server_account
from instafeed.devstack.programs import is_live
from instafeed.devstack.redis import redis_executable
from instafeed.devstack.state import PROJECT_ROOT, StackError

_LOOPBACK_DIR = Path(__file__).parent
_EXECUTABLES = {
    "python": [sys.executable],
    "celery": [sys.executable, "-m", "celery"],
}
# Set by the postgres image.
_POSTGRES_ENVIRONMENT = {"PGDATA": "/var/lib/postgresql/18/docker"}
_INITDB_DIR = "/docker-entrypoint-initdb.d/"


class ServiceProgram(Program):
    """A service's program. Ready when its port accepts connections, or at once if it has none."""

    port: int | None = None

    def ready(self) -> bool:
        if not self.running:
            return False
        if self.port is None:
            return True
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class ApiProgram(ServiceProgram):
    """A web server. Ready when it answers the image's health check."""

    def ready(self) -> bool:
        return self.port is not None and is_live(self.port) and self.running


class ProgramFactory:
    """Creates the programs of one deployment. `hosts` are the host names of the services."""

    def __init__(self, mapping: HostMapping, hosts: set[str]) -> None:
        self.mapping = mapping
        self.hosts = hosts
        # PostgreSQL refuses to run as root, and nginx should not.
        self.account: pwd.struct_passwd | None = server_account()
        if self.account is not None:
            make_programs_executable()
        self._path = os.pathsep.join(
            [self._create_bin_directory(), str(POSTGRES_BIN), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
        )

    def app(self, service: Service, port: int | None = None) -> ServiceProgram:
        """Return a program of the project's image; a web server if `port` is given."""
        build = ApiProgram if port else ServiceProgram
        overrides = {"WEB_BIND": "127.0.0.1", "PORT": str(port), "METRICS_BIND": "127.0.0.1"}
        if "METRICS_PORT" in service.environment:
            overrides["METRICS_PORT"] = str(self.mapping.port(service.name, int(service.environment["METRICS_PORT"])))
        overrides["INSTAFEED_STATIC_ROOT"] = str(self.mapping.directory("static"))
        program = self._program(
            service, self._words(service) or _image_command(), _image_environment(), overrides, build
        )
        program.port = port
        # These are below mount points, which exist in a container.
        for name in ("PROMETHEUS_MULTIPROC_DIR", "MEDIA_ROOT"):
            if value := (program.environment or {}).get(name):
                Path(value).mkdir(mode=0o700, parents=True, exist_ok=True)
        return program

    def postgres(self, service: Service) -> ServiceProgram:
        """Return the primary or the replica. Only options for address and port are added."""
        port = self.mapping.port(service.name, 5432)
        listen = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        scripts = [inside for inside in service.mounts if inside.startswith(_INITDB_DIR)]
        overrides = {
            "PGPORT": str(port),
            "INITDB_SCRIPTS": " ".join(str(self.mapping.mounts(service)[inside]) for inside in sorted(scripts)),
        }
        upstream = service.environment["POSTGRES_PRIMARY"]
        if upstream != service.name:
            overrides |= {"PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(self.mapping.port(upstream, 5432))}
        program = self._program(service, [*self._words(service), *listen], _POSTGRES_ENVIRONMENT, overrides)
        program.port = port
        self.run_unprivileged(program, service)
        return program

    def redis(self, service: Service) -> ServiceProgram:
        port = self.mapping.port(service.name, 6379)
        data = self.mapping.mounts(service).get("/data") or self.mapping.directory("tmp", service.name)
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)]
        program = self._program(service, [*self._words(service), *options], {}, {})
        program.port = port
        return program

    def _program(
        self,
        service: Service,
        command: list[str],
        image: dict[str, str],
        overrides: dict[str, str],
        build: type[ServiceProgram] = ServiceProgram,
    ) -> ServiceProgram:
        environment = {
            **self.translate_environment({**image, **service.environment}, service),
            **overrides,
            **self._base_environment(service),
        }
        program = build(
            service.name,
            self.mapping.directory("log") / f"{service.name}.log",
            [*_EXECUTABLES.get(command[0], [command[0]]), *command[1:]],
            environment,
        )
        program.directory = PROJECT_ROOT
        self.apply_stop_settings(program, service)
        return program

    def _words(self, service: Service) -> list[str]:
        """Return entrypoint and command with local hosts, ports and paths."""
        words = [*service.entrypoint, *service.command]
        return [self.mapping.translate(word, service, self.hosts) for word in words]

    def translate_environment(self, environment: Mapping[str, str], service: Service) -> dict[str, str]:
        return {name: self.mapping.translate(value, service, self.hosts) for name, value in environment.items()}

    def apply_stop_settings(self, program: Child, service: Service) -> None:
        program.stop_signals = (signal.Signals[service.stop_signal],)
        program.death_signal = program.stop_signals[0]
        program.grace = service.grace

    def _base_environment(self, service: Service) -> dict[str, str]:
        """Return the base environment. As in a container, nothing else of ours is passed on, except PATH."""
        temporary = str(self.mapping.directory("tmp", service.name))
        return {"PATH": self._path, "HOME": temporary, "TMPDIR": temporary, "LC_ALL": "C.UTF-8"}

    def run_unprivileged(self, program: Child, service: Service) -> None:
        """Run the program as the account for servers, which gets the service's files."""
        if self.account is None:
            return
        program.user, program.group = self.account.pw_uid, self.account.pw_gid
        program.directory = self.mapping.directory("tmp", program.name)
        program.log.touch(mode=0o600)
        chown_to_account(program.log, self.account)
        for path in self.mapping.mounts(service).values():
            for each in (path, *path.rglob("*")):
                chown_to_account(each, self.account)

    def _create_bin_directory(self) -> str:
        """Create a directory for PATH with redis-server (possibly the wheel's) and the entrypoint."""
        directory = self.mapping.directory("bin")
        for name, target in (
            ("redis-server", redis_executable()),
            ("docker-entrypoint.sh", str(_LOOPBACK_DIR / "docker-entrypoint.sh")),
        ):
            link = directory / name
            link.unlink(missing_ok=True)
            shutil.copyfile(target, link)
            link.chmod(0o755)
        directory.chmod(0o755)
        return str(directory)


def _image_command() -> list[str]:
    """Return the web server's command from the Dockerfile."""
    matches = re.findall(r"^CMD (\[.*\])$", (PROJECT_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    commands: list[list[str]] = [json.loads(text) for text in matches]
    for command in commands:
        if "gunicorn" in command:
            return command
    raise StackError("the Dockerfile has no command for the web server")


def _image_environment() -> dict[str, str]:
    """Return the application's variables from the Dockerfile's ENV, without those of Python and PATH."""
    text = (PROJECT_ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    pairs = [
        pair for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for pair in re.findall(r"(\w+)=(\S+)", line)
    ]
    return {name: value for name, value in pairs if not name.startswith(("PATH", "PYTHON"))}
