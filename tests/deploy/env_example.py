"""What .env.example says, and what the settings read."""

from __future__ import annotations

import re

from deploy import settings_reference
from instafeed.devstack.state import PROJECT_ROOT

_READ = re.compile(r"""(?:\benv\.[a-z_]+|\b_matching_text)\(\s*["']([A-Z][A-Z0-9_]+)["']""")


def read_by_the_settings() -> set[str]:
    """Names that are handed to instafeed.core.env, literally or as the constant that holds the bucket's."""
    files = [*(PROJECT_ROOT / "instafeed").rglob("*.py"), PROJECT_ROOT / "deploy" / "gunicorn.conf.py"]
    return {found for path in files for found in _READ.findall(path.read_text())} | {"AWS_STORAGE_BUCKET_NAME"}


def example_lines() -> list[str]:
    return (PROJECT_ROOT / ".env.example").read_text().splitlines()


def example_values() -> dict[str, str]:
    """Each variable of .env.example, commented out or not, with the value given there."""
    return {entry.name: entry.value for entry in settings_reference.example_entries()}
