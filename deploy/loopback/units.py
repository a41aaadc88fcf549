"""The units of deploy/systemd as child processes, where there is no systemd.

Commands, environments, directories and signals are those of the units. Users, limits and confinement are not applied.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from instafeed.devstack.child_process import Program
from instafeed.devstack.state import PROJECT_ROOT, StackError

UNITS = PROJECT_ROOT / "deploy" / "systemd"
_COMMON = "instafeed-.service.d"  # applies to all units whose name begins with it


@dataclass(frozen=True)
class Host:
    """Where the paths and ports of the documents are on this machine. Others are the same."""

    paths: dict[str, Path]
    """{path of a file or directory: path here}"""
    ports: dict[int, int] = field(default_factory=dict)

    def translate(self, text: str) -> str:
        """Replace the paths, and the ports wherever they are a number of their own."""
        names = "|".join(map(re.escape, sorted(self.paths, key=len, reverse=True)))
        text = re.sub(rf"(?<![\w./-])({names})(?![\w.-])", lambda match: str(self.paths[match[1]]), text)
        numbers = "|".join(map(str, self.ports))
        return re.sub(rf"(?<![\w.])({numbers})(?![\w.])", lambda match: str(self.ports[int(match[1])]), text)


class Unit:
    """A unit with its drop-ins: `Unit("instafeed-worker@media.service")`. Raises StackError if it has no file."""

    def __init__(self, name: str, directory: Path = UNITS) -> None:
        self.name = name
        stem, self.suffix = name.rsplit(".", 1)
        self.prefix, _, self.instance = stem.partition("@")
        template = f"{self.prefix}@.{self.suffix}" if self.instance else name
        if not (directory / template).exists():
            raise StackError(f"deploy/systemd has no {template}")
        drop_ins = [_COMMON] if self.suffix == "service" else []
        drop_ins += [f"{template}.d", f"{name}.d"] if self.instance else [f"{name}.d"]
        # systemd reads all drop-ins of a unit in the order of their file names, whichever directory they are in.
        changes = sorted((path for each in drop_ins for path in (directory / each).glob("*.conf")), key=_file_name)
        self._values: dict[str, list[str]] = {}
        for file in (directory / template, *changes):
            self._read(file.read_text())

    def _read(self, text: str) -> None:
        for line in re.sub(r"\\\n", " ", text).splitlines():
            name, separator, value = line.partition("=")
            if not separator or line.lstrip().startswith(("#", ";", "[")):
                continue
            if value:
                self._values.setdefault(name, []).append(self._expand(value))
            else:
                self._values[name] = []

    def _expand(self, value: str) -> str:
        specifiers = {"i": self.instance, "t": "/run", "S": "/var/lib", "%": "%"}
        return re.sub("%(.)", lambda match: specifiers[match[1]], value)

    def values(self, name: str) -> list[str]:
        """Return all values of a directive, such as the commands of ExecStart."""
        return self._values.get(name, [])

    def value(self, name: str, default: str = "") -> str:
        """Return the last value of a directive."""
        return (self.values(name) or [default])[-1]

    def words(self, name: str) -> list[str]:
        """Return the words of all values of a directive, such as the units of Wants."""
        return [word for value in self.values(name) for word in shlex.split(value)]

    def environment(self, host: Host) -> dict[str, str]:
        """Return the variables of Environment and, above them, of EnvironmentFile, on this machine."""
        variables = dict(word.split("=", 1) for word in self.words("Environment"))
        variables = {name: host.translate(value) for name, value in variables.items()}
        for path in self.words("EnvironmentFile"):
            variables |= read_environment_file(Path(host.translate(path)))
        return variables

    def commands(self, name: str, host: Host) -> list[list[str]]:
        """Return the command lines of ExecStart or ExecStartPost, on this machine."""
        variables = self.environment(host)
        lines = ([host.translate(word) for word in shlex.split(value)] for value in self.values(name))
        return [
            [re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match[1], ""), word) for word in line] for line in lines
        ]


def _file_name(path: Path) -> str:
    return path.name


def read_environment_file(path: Path) -> dict[str, str]:
    """Return the variables of a file as systemd reads it. Values may be in quotes."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith(("#", ";")))
    return {name: value[1:-1] if re.fullmatch(r"(['\"]).*\1", value) else value for name, value in pairs}


class UnitProgram(Program):
    """The service of a unit. Ready when the commands of its ExecStartPost have succeeded."""

    def __init__(self, unit: Unit, host: Host, logs: Path) -> None:
        (command,) = unit.commands("ExecStart", host)
        super().__init__(unit.name, logs / f"{unit.name}.log", command, _process_environment(unit, host))
        self.directory = Path(host.translate(unit.value("WorkingDirectory")))
        self.stop_signals = (signal.Signals[unit.value("KillSignal", "SIGTERM")],)
        self.death_signal = self.stop_signals[0]
        self.grace = float(unit.value("TimeoutStopSec"))
        self.unit, self._host = unit, host

    def launch(self) -> None:
        """Create the directories, with those of RuntimeDirectory empty, and start it."""
        _create_directories(self.unit, self._host)
        super().launch()

    def ready(self) -> bool:
        commands = [
            [str(self.pid) if word == "$MAINPID" else word for word in command]
            for command in self.unit.commands("ExecStartPost", self._host)
        ]
        try:
            return self.running and all(
                subprocess.run(command, env=self.environment, capture_output=True, timeout=10).returncode == 0
                for command in commands
            )
        except subprocess.TimeoutExpired:  # as for a process that has ended: its id is in use until we wait for it
            return False


def run_oneshot(unit: Unit, host: Host, logs: Path) -> None:
    """Run the commands of a unit with Type=oneshot, one after the other. Raises StackError if one fails."""
    _create_directories(unit, host)
    for command in unit.commands("ExecStart", host):
        program = Program(unit.name, logs / f"{unit.name}.log", command, _process_environment(unit, host))
        program.directory = Path(host.translate(unit.value("WorkingDirectory")))
        program.run()


def _process_environment(unit: Unit, host: Host) -> dict[str, str]:
    """As with systemd, nothing of ours is passed on."""
    path = os.pathsep.join(f"/usr/{name}" for name in ("local/sbin", "local/bin", "sbin", "bin"))
    return {"PATH": path, "LANG": "C.UTF-8", **unit.environment(host)}


def _create_directories(unit: Unit, host: Host) -> None:
    for name in unit.words("RuntimeDirectory"):
        path = Path(host.translate("/run")) / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700, parents=True)
    for name in unit.words("StateDirectory"):
        (Path(host.translate("/var/lib")) / name).mkdir(mode=0o750, parents=True, exist_ok=True)
