"""A machine set up by hand as docs/deployment.md says, in a directory: the page's commands, its units, nginx, Redis.

The commands run as written, in a shell whose working directory is the checkout. Paths and ports are those of this
machine, and programs that would change the system (`apt-get`, `systemctl`, …) do nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.loopback.nginx import nginx_executable
from deploy.loopback.units import Host, Unit, UnitProgram
from instafeed.devstack.child_process import Child, Program
from instafeed.devstack.ports import free_port
from instafeed.devstack.postgres import Primary
from instafeed.devstack.postgres_wheel import POSTGRES_BIN
from instafeed.devstack.redis import redis_executable
from instafeed.devstack.state import PROJECT_ROOT, StackLayout

PAGE = PROJECT_ROOT / "docs" / "deployment.md"
_PORTS = (80, 8001, 8002, 8003, *range(9101, 9108), 5432, 6379, 6380, 9090)
_DIRECTORIES = ("/etc", "/run", "/usr/local/lib", "/usr/local/sbin", "/var/cache", "/var/lib", "/var/log")
_FAKES = {
    **dict.fromkeys(("apt-get", "systemctl", "nginx", "curl"), "exit 0"),
    # Without another user or group, which tests may not become.
    "runuser": 'shift 3; exec "$@"',
    "install": """
        for word; do
            shift
            case $word in --owner | --group) skip=yes ;; *) [ "${skip:-}" ] || set -- "$@" "$word"; skip= ;; esac
        done
        exec /usr/bin/install "$@"
    """,
}


class ListeningProgram(Program):
    """Ready when its port accepts connections."""

    port: int

    def ready(self) -> bool:
        return subprocess.run(["bash", "-c", f": </dev/tcp/127.0.0.1/{self.port}"], capture_output=True).returncode == 0


class DocumentedHost:
    """`run("Redis")` runs the first block of commands of that section, and returns what it prints.

    `port(80)` and `path("/etc/nginx")` say where the page's ports and paths are.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self.logs.mkdir()
        paths = {name: root / name[1:] for name in _DIRECTORIES}
        for path in paths.values():
            path.mkdir(parents=True)
        self.host = Host(
            {
                **paths,
                "/opt/instafeed": PROJECT_ROOT,
                "/opt/instafeed/.venv/bin": Path(sys.executable).parent,
                "/etc/nginx/mime.types": Path("/etc/nginx/mime.types"),
            },
            {number: free_port() for number in _PORTS},
        )
        self.primary = Primary(StackLayout(root / "postgres"), "superuser-password", fsync=False)
        self.primary.port = self.port(5432)
        self._bin = root / "bin"
        self._bin.mkdir()
        for name, script in _FAKES.items():
            self._write_program(self._bin / name, script)

    def port(self, number: int) -> int:
        return self.host.ports[number]

    def path(self, name: str) -> Path:
        return Path(self.host.translate(name))

    @property
    def settings(self) -> Path:
        return self.path("/etc/instafeed/instafeed.env")

    def run(self, section: str, *, block: int = 0, replace: Mapping[str, str] | None = None) -> str:
        """Run a block of commands, with these words replaced. Fail with its output unless its status is 0."""
        page = PAGE.read_text()
        text = re.split(r"^##", page[page.index(f"\n### {section}\n") + 4 :], maxsplit=1, flags=re.MULTILINE)[0]
        commands = [found.replace("\n    ", "\n") for found in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)][block]
        for word, other in (replace or {}).items():
            commands = commands.replace(word, other)
        return self.shell(commands)

    def shell(self, commands: str, stdin: str = "") -> str:
        """Run commands with the page's paths and ports in one shell, which ends with the first that fails."""
        path = f"{self._bin}:{self.path('/usr/local/sbin')}:{POSTGRES_BIN}:{os.environ['PATH']}"
        ended = subprocess.run(
            ["bash", "-euc", self.host.translate(commands)],
            cwd=PROJECT_ROOT,
            env={
                "PATH": path,
                "LANG": "C.UTF-8",
                # As which `runuser -u postgres` would connect.
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.primary.port),
                "PGUSER": "postgres",
                "PGPASSWORD": self.primary.password,
            },
            input=stdin,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def localize(self, *names: str) -> None:
        """Put this machine's paths and ports into installed files. Links become files."""
        for name in names:
            for path in (self.path(name), *self.path(name).rglob("*")):
                if path.is_file():
                    mode, text = path.stat().st_mode, path.read_text()
                    path.unlink()
                    path.write_text(self.host.translate(text))
                    path.chmod(mode)

    def start_postgres(self) -> None:
        self.primary.layout.root.mkdir()
        self.primary.layout.log.mkdir()
        self.primary.initialize()
        self.primary.start()

    def redis(self, name: str, port: int) -> Child:
        """Return the server that Debian's `redis-server@NAME` runs."""
        file = self.path(f"/etc/redis/redis-{name}.conf")
        return self._listening(f"redis-{name}", self.port(port), redis_executable(), str(file), "--daemonize", "no")

    def nginx(self) -> Child:
        """Return Debian's nginx with the site, on loopback only."""
        self.localize("/etc/nginx")
        file = self.path("/etc/nginx/sites-available/instafeed.conf")
        port = self.port(80)
        text = file.read_text().replace(f"listen [::]:{port} default_server;", "")
        file.write_text(text.replace(f"listen {port} ", f"listen 127.0.0.1:{port} "))
        (self.path("/var/log") / "nginx").mkdir()
        (self.path("/var/lib") / "nginx").mkdir()
        command = [nginx_executable(), "-c", str(self.path("/etc/nginx/nginx.conf"))]
        checked = subprocess.run([*command, "-t", "-q"], capture_output=True, text=True, timeout=200)
        assert (checked.returncode, checked.stderr) == (0, "")
        return self._listening("nginx", port, *command, "-g", "daemon off;")

    def programs(self) -> list[UnitProgram]:
        """Return the long-running programs that the installed target wants."""
        names = [name for name in self.unit("instafeed.target").words("Wants") if name != "instafeed-migrate.service"]
        return [UnitProgram(self.unit(name), self.host, self.logs) for name in names]

    def unit(self, name: str) -> Unit:
        return Unit(name, self.path("/usr/local/lib/systemd/system"))

    def copy_debians_nginx(self) -> None:
        """As the package installs it. Some modules of it may not be installed here."""
        shutil.copytree("/etc/nginx", self.path("/etc/nginx"), ignore=shutil.ignore_patterns("modules-*"))
        for name in ("modules-enabled", "sites-enabled"):
            (self.path("/etc/nginx") / name).mkdir(exist_ok=True)

    def log_ends(self) -> str:
        """Return the last lines of each program's log, for a failing test."""
        logs = sorted(self.logs.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def _listening(self, name: str, port: int, *command: str) -> Child:
        program = ListeningProgram(name, self.logs / f"{name}.log", command)
        program.port = port
        return program

    def _write_program(self, path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
