"""Where things are on one machine: each service's ports on 127.0.0.1, its mounts and tmpfs in the data directory."""

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
    """`port()` and `inside()` answer the same whenever they are asked."""

    root: Path
    """The data directory. What is mounted is copied there anew at each start."""
    ports: dict[tuple[str, int], int] = field(default_factory=dict)

    def port(self, host: str, number: int) -> int:
        """The port on loopback for a port of a service."""
        if (host, number) not in self.ports:
            self.ports[host, number] = free_port()
        return self.ports[host, number]

    def directory(self, *names: str) -> Path:
        path = self.root.joinpath(*names)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def mounts(self, service: Service) -> dict[str, Path]:
        """By the path inside the container, where it is here; the longest first. Everybody has a /tmp."""
        found = {"/tmp": self.directory("tmp", service.name)}  # noqa: S108
        for inside, source in service.mounts.items():
            if source.startswith("."):
                found[inside] = self._copy(PROJECT_ROOT / source, service.name)
            elif source:
                found[inside] = self.directory("volumes", source)
            elif inside not in found:
                found[inside] = self.directory("tmp", service.name, *inside.strip("/").split("/"))
        return dict(sorted(found.items(), key=lambda item: -len(item[0])))

    def _copy(self, source: Path, name: str) -> Path:
        """Of a mounted file or directory, for a server that may not be able to read ours."""
        target = self.directory("mounts", name) / source.name
        if target.exists():
            return target
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        return target

    def translate(self, text: str, service: Service, hosts: set[str]) -> str:
        """A word of a command, or a variable's value: with hosts, ports and paths as they are here."""
        mounts = self.mounts(service)
        paths = "|".join(map(re.escape, mounts))  # the longest first
        text = re.sub(rf"(?<![\w./-])({paths})(?![\w-])", lambda found: str(mounts[found[1]]), text)
        if not hosts:
            return text
        names = "|".join(map(re.escape, hosts))
        return re.sub(rf"(?<![\w.-])({names}):(\d+)\b", lambda found: self._address(found[1], int(found[2])), text)

    def _address(self, host: str, number: int) -> str:
        return f"127.0.0.1:{self.port(host, number)}"
