"""docker-compose.yml as Compose reads it, as far as that file goes: anchors and `${NAME:-default}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from instafeed.stack.state import PROJECT_ROOT

FILE = PROJECT_ROOT / "docker-compose.yml"
APP = (
    "api-1",
    "api-2",
    "worker-fan-out",
    "worker-notifications",
    "worker-media",
    "worker-maintenance",
    "beat",
    "migrate",
)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Z][A-Z0-9_]*)(?::([-?])([^}]*))?\})")
# What .env must hold, as a team would fill it in.
SECRETS = {
    name: f"{name.lower().replace('_', '-')}-of-the-tests"
    for name in (
        "SECRET_KEY",
        "POSTGRES_PASSWORD",
        "POSTGRES_SUPERUSER_PASSWORD",
        "POSTGRES_REPLICATION_PASSWORD",
        "REDIS_PASSWORD",
        "MINIO_ROOT_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
    )
}


def raw() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def services(**environment: str) -> dict[str, Any]:
    """With SECRETS and these in .env."""
    resolved: dict[str, Any] = interpolate(raw()["services"], {**SECRETS, **environment})
    return resolved


def interpolate(value: Any, environment: Mapping[str, str]) -> Any:
    """Raises ValueError for a variable that must be set and is not."""
    if isinstance(value, dict):
        return {key: interpolate(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, environment) for item in value]
    return _VARIABLE.sub(lambda found: _one(found, environment), value) if isinstance(value, str) else value


def _one(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, operator, argument = found.groups()
    if name is None:
        return "$"
    if given := environment.get(name, ""):
        return given
    if operator == "?":
        raise ValueError(f"{name}: {argument}")
    return argument or ""


def variables(value: Any) -> set[str]:
    """The names of all that a part of the file takes from .env."""
    if isinstance(value, dict):
        return set().union(*(variables(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(variables(item) for item in value))
    return {found[1] for found in _VARIABLE.finditer(value) if found[1]} if isinstance(value, str) else set()


def mounts(service: Mapping[str, Any]) -> dict[str, Path]:
    """What of the repository a container sees, by the path that it has there."""
    split = (volume.split(":") for volume in service.get("volumes", ()))
    return {target: PROJECT_ROOT / source for source, target, *_ in split if source.startswith("./")}
