"""docker-compose.yml as Compose reads it: with anchors resolved and variables interpolated."""

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
    "stream",
    "worker-fan-out",
    "worker-notifications",
    "worker-media",
    "worker-mail",
    "worker-push",
    "worker-bulk",
    "worker-maintenance",
    "beat",
    "migrate",
)
# The required variables of .env.
SECRETS = {
    name: f"{name.lower().replace('_', '-')}-of-the-tests"
    for name in (
        "SECRET_KEY",
        "POSTGRES_PASSWORD",
        "POSTGRES_SUPERUSER_PASSWORD",
        "POSTGRES_REPLICATION_PASSWORD",
        "REDIS_PASSWORD",
        "REDIS_BROKER_PASSWORD",
        "MINIO_ROOT_PASSWORD",
        "AWS_SECRET_ACCESS_KEY",
    )
}


def raw_file() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def services(**environment: str) -> dict[str, Any]:
    """Return the services, with SECRETS and these variables in .env."""
    resolved: dict[str, Any] = interpolate(raw_file()["services"], {**SECRETS, **environment})
    return resolved


def interpolate(value: Any, environment: Mapping[str, str]) -> Any:
    """Interpolate a value. Raises StackError for a required variable that is not set."""
    return interpolate_values(value, environment)


def variables(value: Any) -> set[str]:
    """Return the names of all variables in a part of the file."""
    if isinstance(value, dict):
        return set().union(*(variables(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(variables(item) for item in value))
    matches = list(VARIABLE.finditer(value)) if isinstance(value, str) else []
    nested = set().union(*(variables(match["text"]) for match in matches if match["text"]))
    return nested | {name for match in matches if (name := match["bare"] or match["name"])}


def mounts(service: Mapping[str, Any]) -> dict[str, Path]:
    """Return {path in the container: mounted path of the repository}."""
    split = (volume.split(":") for volume in service.get("volumes", ()))
    return {target: PROJECT_ROOT / source for source, target, *_ in split if source.startswith("./")}
