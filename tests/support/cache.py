"""Empty the cache: one server or a cluster."""

from __future__ import annotations

from instafeed.core.cache import client


def flush_cache() -> None:
    client.get_client().flushdb()
