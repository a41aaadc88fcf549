"""A service of docker-compose.yml as a child process: its command, environment and signals, on this machine."""

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
    "docker-entrypoint.sh": ["sh", str(_LOOPBACK_DIR / "docker-entrypoint.sh")],
}
# What the postgres image sets by itself.
_POSTGRES_ENVIRONMENT = {"PGDATA": "/var/lib/postgresql/18/docker"}
_INITDB_DIR = "/docker-entrypoint-initdb.d/"


class ServiceProgram(Program):
    """Ready when its port takes connections, or at once where it has none."""

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
    """Ready when it answers, as the image's health check asks it."""

    def ready(self) -> bool:
        return self.port is not None and is_live(self.port) and self.running


class ProgramFactory:
    """Makes the programs of one deployment. `hosts` are the names by which services know each other."""

    def __init__(self, places: HostMapping, hosts: set[str]) -> None:
        self.places = places
        self.hosts = hosts
        # PostgreSQL refuses root, and nginx must not be root either.
        self.account: pwd.struct_passwd | None = server_account()
        if self.account is not None:
            make_programs_executable()
        self._path = os.pathsep.join(
            [self._links(), str(POSTGRES_BIN), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
        )

    def app(self, service: Service, port: int | None = None) -> ServiceProgram:
        """A command of the project's image; one of its web servers where `port` is given."""
        build = ApiProgram if port else ServiceProgram
        more = {"WEB_BIND": "127.0.0.1", "PORT": str(port), "METRICS_BIND": "127.0.0.1"}
        if "METRICS_PORT" in service.environment:
            more["METRICS_PORT"] = str(self.places.port(service.name, int(service.environment["METRICS_PORT"])))
        more["INSTAFEED_STATIC_ROOT"] = str(self.places.directory("static"))
        program = self._program(service, self._words(service) or _image_command(), _image_environment(), more, build)
        program.port = port
        # Relative to the mount points that a container has; here they have to be made.
        for name in ("PROMETHEUS_MULTIPROC_DIR", "MEDIA_ROOT"):
            if value := (program.environment or {}).get(name):
                Path(value).mkdir(mode=0o700, parents=True, exist_ok=True)
        return program

    def postgres(self, service: Service) -> ServiceProgram:
        """Primary or replica. The options that are added say where, and nothing else."""
        port = self.places.port(service.name, 5432)
        listen = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        scripts = [inside for inside in service.mounts if inside.startswith(_INITDB_DIR)]
        more = {
            "PGPORT": str(port),
            "INITDB_SCRIPTS": " ".join(str(self.places.mounts(service)[inside]) for inside in sorted(scripts)),
        }
        if upstream := service.environment.get("PRIMARY_HOST"):
            more |= {"PRIMARY_HOST": "127.0.0.1", "PRIMARY_PORT": str(self.places.port(upstream, 5432))}
        entrypoint = [] if service.entrypoint else ["docker-entrypoint.sh"]
        program = self._program(service, [*entrypoint, *self._words(service), *listen], _POSTGRES_ENVIRONMENT, more)
        program.port = port
        self.unprivileged(program, service)
        return program

    def redis(self, service: Service) -> ServiceProgram:
        port = self.places.port(service.name, 6379)
        here = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.places.mounts(service).get("/data", ""))]
        if not here[-1]:
            here[-1] = str(self.places.directory("tmp", service.name))
        program = self._program(service, [*self._words(service), *here], {}, {})
        program.port = port
        return program

    def _program(
        self,
        service: Service,
        command: list[str],
        image: dict[str, str],
        more: dict[str, str],
        build: type[ServiceProgram] = ServiceProgram,
    ) -> ServiceProgram:
        environment = {
            **self.translated({**image, **service.environment}, service),
            **more,
            **self._around(service),
        }
        program = build(
            service.name,
            self.places.directory("log") / f"{service.name}.log",
            [*_EXECUTABLES.get(command[0], [command[0]]), *command[1:]],
            environment,
        )
        program.directory = PROJECT_ROOT
        self.stops_as(program, service)
        return program

    def _words(self, service: Service) -> list[str]:
        """Entrypoint and command."""
        words = [*service.entrypoint, *service.command]
        return [self.places.translate(word, service, self.hosts) for word in words]

    def translated(self, environment: Mapping[str, str], service: Service) -> dict[str, str]:
        return {name: self.places.translate(value, service, self.hosts) for name, value in environment.items()}

    def stops_as(self, program: Child, service: Service) -> None:
        program.stop_signals = (signal.Signals[service.stop_signal],)
        program.death_signal = program.stop_signals[0]
        program.grace = service.grace

    def _around(self, service: Service) -> dict[str, str]:
        """Nothing of our own environment reaches a program, as in a container, but how to find other programs."""
        temporary = str(self.places.directory("tmp", service.name))
        return {"PATH": self._path, "HOME": temporary, "TMPDIR": temporary, "LC_ALL": "C.UTF-8"}

    def unprivileged(self, program: Child, service: Service) -> None:
        """Run by the account for servers, which gets what is the service's own."""
        if self.account is None:
            return
        program.user, program.group = self.account.pw_uid, self.account.pw_gid
        program.directory = self.places.directory("tmp", program.name)
        program.log.touch(mode=0o600)
        chown_to_account(program.log, self.account)
        for path in self.places.mounts(service).values():
            for found in (path, *path.rglob("*")):
                chown_to_account(found, self.account)

    def _links(self) -> str:
        """`redis-server` may be the wheel's, and the entrypoint is asked for by its name."""
        directory = self.places.directory("bin")
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
    """The Dockerfile's last CMD that is a command of the app itself."""
    found = re.findall(r"^CMD (\[.*\])$", (PROJECT_ROOT / "Dockerfile").read_text(), re.MULTILINE)
    commands: list[list[str]] = [json.loads(text) for text in found]
    for command in commands:
        if "gunicorn" in command:
            return command
    raise StackError("the Dockerfile has no command for the web server")


def _image_environment() -> dict[str, str]:
    """The app's own of the Dockerfile's ENV: not what concerns Python in a container, nor where paths are."""
    text = (PROJECT_ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    pairs = [
        pair for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for pair in re.findall(r"(\w+)=(\S+)", line)
    ]
    return {name: value for name, value in pairs if not name.startswith(("PATH", "PYTHON"))}
