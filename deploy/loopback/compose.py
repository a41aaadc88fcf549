"""What docker-compose.yml says of its services, with variables filled in as Compose does."""

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
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<text>(?:[^{}]|\$\{[^{}]*\})*))?\})"
)


@dataclass(frozen=True)
class Service:
    """One service. What is empty is as the image has it."""

    name: str
    command: list[str]
    entrypoint: list[str]
    environment: dict[str, str]
    mounts: dict[str, str]
    """By the path inside: a path in the project (`./…`), a volume's name, or nothing for a tmpfs."""
    stop_signal: str
    grace: float
    """Seconds from the stop signal to SIGKILL."""
    profiles: list[str]


def read_services(path: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """The services by name. StackError where a required variable is not set."""
    services = yaml.safe_load(path.read_text())["services"]
    return {name: _service(name, interpolate_values(raw, variables)) for name, raw in services.items()}


def required_variables(path: Path) -> set[str]:
    """The variables that the file demands (`${NAME:?…}`) of whoever starts everything: not those of a profile."""
    services = yaml.safe_load(path.read_text())["services"].values()
    text = yaml.safe_dump([service for service in services if "profiles" not in service])
    return {found["name"] for found in VARIABLE.finditer(text) if (found["how"] or "").endswith("?")}


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
    """Whatever YAML holds, with its texts filled in. StackError as for `interpolate`."""
    if isinstance(raw, dict):
        return {name: interpolate_values(value, variables) for name, value in raw.items()}
    if isinstance(raw, list):
        return [interpolate_values(value, variables) for value in raw]
    return interpolate(raw, variables) if isinstance(raw, str) else raw


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME`, `${NAME:-default}`, `${NAME:?why}`, `${NAME:+instead}`, each also without the colon and one in the
    other's text, and `$$`."""

    def value(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name, how = found["bare"] or found["name"], found["how"] or ""
        known = variables.get(name)
        there = bool(known) if how.startswith(":") else known is not None
        if how.endswith("+"):
            return interpolate(found["text"], variables) if there else ""
        if there:
            return str(known)
        if how.endswith("?"):
            raise StackError(f"{name} must be set: {found['text']}")
        return interpolate(found["text"], variables) if how else known or ""

    return VARIABLE.sub(value, text)
