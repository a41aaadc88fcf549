"""Parse the services of docker-compose.yml and interpolate variables as Compose does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from instafeed.devstack.state import StackError

VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-?+])(?P<text>(?:[^{}]|\$\{[^{}]*\})*))?\})"
)


@dataclass(frozen=True)
class Service:
    """One service. Empty attributes mean the image's default."""

    name: str
    command: list[str]
    entrypoint: list[str]
    environment: dict[str, str]
    mounts: dict[str, str]
    """{path inside: a path in the project (`./…`), the name of a volume, or "" for a tmpfs}"""
    stop_signal: str
    grace: float
    """Seconds from the stop signal to SIGKILL."""
    profiles: list[str]


def read_services(path: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """Return the services by name. Raises StackError if a required variable is not set."""
    services = yaml.safe_load(path.read_text())["services"]
    return {name: _service(name, interpolate_values(raw, variables)) for name, raw in services.items()}


def required_variables(path: Path) -> set[str]:
    """Return the variables that the services outside of profiles require (`${NAME:?…}`)."""
    services = yaml.safe_load(path.read_text())["services"].values()
    text = yaml.safe_dump([service for service in services if "profiles" not in service])
    return {match["name"] for match in VARIABLE.finditer(text) if (match["operator"] or "").endswith("?")}


def _service(name: str, raw: dict[str, Any]) -> Service:
    mounts = dict.fromkeys((entry.partition(":")[0] for entry in _as_list(raw.get("tmpfs"))), "")
    for volume in raw.get("volumes", ()):
        if isinstance(volume, dict):
            mounts[volume["target"]] = volume.get("source", "")
        else:
            source, target = volume.split(":")[:2]
            mounts[target] = source
    return Service(
        name=name,
        command=_words(raw.get("command")),
        entrypoint=_words(raw.get("entrypoint")),
        environment=_environment(raw.get("environment") or {}),
        mounts=mounts,
        stop_signal=raw.get("stop_signal", "SIGTERM"),
        grace=float(raw.get("stop_grace_period", "10s").removesuffix("s")),
        profiles=raw.get("profiles", []),
    )


def _environment(raw: dict[str, Any] | list[str]) -> dict[str, str]:
    if isinstance(raw, list):
        raw = dict(entry.split("=", 1) for entry in raw if "=" in entry)
    return {name: _text(value) for name, value in raw.items() if value is not None}


def _words(raw: str | list[Any] | None) -> list[str]:
    return shlex.split(raw) if isinstance(raw, str) else [_text(word) for word in raw or ()]


def _as_list(raw: str | list[str] | None) -> list[str]:
    return [raw] if isinstance(raw, str) else raw or []


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def interpolate_values(raw: Any, variables: Mapping[str, str]) -> Any:
    """Interpolate all texts in a YAML value. Raises StackError like `interpolate`."""
    if isinstance(raw, dict):
        return {name: interpolate_values(value, variables) for name, value in raw.items()}
    if isinstance(raw, list):
        return [interpolate_values(value, variables) for value in raw]
    return interpolate(raw, variables) if isinstance(raw, str) else raw


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Interpolate `$NAME`, `${NAME:-default}`, `${NAME:?error}`, `${NAME:+other}` and `$$`.

    The colon is optional, and expressions may be nested. Raises StackError for a required variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, operator = match["bare"] or match["name"], match["operator"] or ""
        current = variables.get(name)
        is_set = bool(current) if operator.startswith(":") else current is not None
        if operator.endswith("+"):
            return interpolate(match["text"], variables) if is_set else ""
        if is_set:
            return str(current)
        if operator.endswith("?"):
            raise StackError(f"{name} must be set: {match['text']}")
        return interpolate(match["text"], variables) if operator else current or ""

    return VARIABLE.sub(value, text)
