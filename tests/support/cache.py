"""The cache of tests: empty it, one server or a cluster, or wait longer for it."""

from __future__ import annotations

from instafeed.core.cache import client


def flush_cache() -> None:
    client.get_client().flushdb()


def patient_url(url: str) -> str:
    """Return the URL of a Redis for programs that are to wait for it longer than in production."""
    return f"{url}?socket_timeout=60&socket_connect_timeout=60"
