"""The variables of .env.example, and those that the settings read."""

from __future__ import annotations

import re

from deploy import settings_reference
from instafeed.devstack.state import PROJECT_ROOT

_READ = re.compile(r"""(?:\benv\.[a-z_]+|\b_matching_text)\(\s*["']([A-Z][A-Z0-9_]+)["']""")


def read_by_the_settings() -> set[str]:
    """Return the names passed to instafeed.core.env, as literals or as the constant with the bucket's name."""
    files = [*(PROJECT_ROOT / "instafeed").rglob("*.py"), PROJECT_ROOT / "deploy" / "gunicorn.conf.py"]
    return {name for path in files for name in _READ.findall(path.read_text())} | {"AWS_STORAGE_BUCKET_NAME"}


def example_lines() -> list[str]:
    return (PROJECT_ROOT / ".env.example").read_text().splitlines()


def example_values() -> dict[str, str]:
    """Return all variables of .env.example, commented out or not, with their values."""
    return {entry.name: entry.value for entry in settings_reference.example_entries()}
