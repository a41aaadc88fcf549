"""docker-compose.yml as Compose reads it, as far as that file goes: anchors and `${NAME:-default}`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.loopback.compose import VARIABLE, interpolate_values
from instafeed.devstack.state import PROJECT_ROOT

FILE = PROJECT_ROOT / "docker-compose.yml"
APP_SERVICES = (
    "api-1",
    "api-2",
    "worker-fan-out",
    "worker-notifications",
    "worker-media",
    "worker-maintenance",
    "beat",
    "migrate",
)
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


def raw_file() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def services(**environment: str) -> dict[str, Any]:
    """With SECRETS and these in .env."""
    resolved: dict[str, Any] = interpolate(raw_file()["services"], {**SECRETS, **environment})
    return resolved


def interpolate(value: Any, environment: Mapping[str, str]) -> Any:
    """StackError for a variable that must be set and is not."""
    return interpolate_values(value, environment)


def variables(value: Any) -> set[str]:
    """The names of all that a part of the file takes from .env."""
    if isinstance(value, dict):
        return set().union(*(variables(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(variables(item) for item in value))
    found = list(VARIABLE.finditer(value)) if isinstance(value, str) else []
    inner = set().union(*(variables(one["text"]) for one in found if one["text"]))
    return inner | {name for one in found if (name := one["bare"] or one["name"])}


def mounts(service: Mapping[str, Any]) -> dict[str, Path]:
    """What of the repository a container sees, by the path that it has there."""
    split = (volume.split(":") for volume in service.get("volumes", ()))
    return {target: PROJECT_ROOT / source for source, target, *_ in split if source.startswith("./")}
