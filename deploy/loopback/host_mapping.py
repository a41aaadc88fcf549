"""Map the services' ports to 127.0.0.1, and their mounts and tmpfs to the data directory."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from deploy.loopback.compose import Service
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT


@dataclass
class HostMapping:
    """Maps hosts, ports and paths. The same port of a service always maps to the same local port."""

    root: Path
    """The data directory. Mounted files are copied there at each start."""
    ports: dict[tuple[str, int], int] = field(default_factory=dict)

    def port(self, host: str, number: int) -> int:
        """Return the local port for a service's port."""
        if (host, number) not in self.ports:
            self.ports[host, number] = free_port()
        return self.ports[host, number]

    def directory(self, *names: str) -> Path:
        path = self.root.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def mounts(self, service: Service) -> dict[str, Path]:
        """Return {path in the container: path here}, the longest first. Every service has a /tmp."""
        paths = {"/tmp": self.directory("tmp", service.name)}  # noqa: S108
        for inside, source in service.mounts.items():
            if source.startswith("."):
                paths[inside] = self._copy(PROJECT_ROOT / source, service.name)
            elif source:
                paths[inside] = self.directory("volumes", source)
            elif inside not in paths:
                paths[inside] = self.directory("tmp", service.name, *inside.strip("/").split("/"))
        return dict(sorted(paths.items(), key=lambda item: -len(item[0])))

    def _copy(self, source: Path, name: str) -> Path:
        """Copy a mounted file or directory, as a server's account may not be able to read ours."""
        target = self.directory("mounts", name) / source.name
        if target.exists():
            return target
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        return target

    def translate(self, text: str, service: Service, hosts: set[str]) -> str:
        """Replace hosts, ports and paths in a word of a command or the value of a variable."""
        mounts = self.mounts(service)
        paths = "|".join(map(re.escape, mounts))  # the longest first
        text = re.sub(rf"(?<![\w./-])({paths})(?![\w-])", lambda match: str(mounts[match[1]]), text)
        if not hosts:
            return text
        names = "|".join(map(re.escape, hosts))
        return re.sub(rf"(?<![\w.-])({names}):(\d+)\b", lambda match: self._address(match[1], int(match[2])), text)

    def _address(self, host: str, number: int) -> str:
        return f"127.0.0.1:{self.port(host, number)}"
