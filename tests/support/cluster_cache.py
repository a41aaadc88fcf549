"""Let this process use a Redis Cluster as its cache, instead of the session's server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from instafeed.core.cache import buckets, client, cluster, cluster_client, commands, keys
from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.devstack.child_process import stop_children
from instafeed.devstack.redis import CacheCluster
from instafeed.devstack.state import StackLayout
from tests.support.eventually import eventually

BUCKETS = 32
# A busy machine may stop a server for seconds, which must not look like a failure. A server that is down refuses
# connections at once, so only tests that freeze servers need shorter times.
NODE_TIMEOUT = 60_000  # milliseconds after which servers of a cluster think that another one has failed
PATIENT_TIMEOUT = 60.0  # seconds that this process waits for a server


@contextmanager
def running_cluster(directory: Path, servers: int = 3) -> Iterator[CacheCluster]:
    """Start a cluster of servers without replicas."""
    layout = StackLayout(directory)
    layout.log.mkdir(parents=True)
    cache = CacheCluster(servers, layout, "secret", node_timeout=NODE_TIMEOUT)
    try:
        for server in cache.servers:
            server.launch()
        for server in cache.servers:
            eventually(server.ready)
        cache.form()
        eventually(cache.is_formed)
        yield cache
    finally:
        stop_children(cache.servers)


@contextmanager
def used_as_cache(cache: CacheCluster, timeout: float = PATIENT_TIMEOUT) -> Iterator[ClusterClient]:
    """Send this process' commands to the cluster, which is emptied first. It is waited for `timeout` seconds.

    With PATIENT_TIMEOUT, servers that answer are waited for as long after another one has failed.
    """
    hurried = timeout if timeout == PATIENT_TIMEOUT else cluster.HURRIED_TIMEOUT
    prefixes = [f"{keys.PREFIX}{tag}" for tag in buckets.hash_tags(BUCKETS)]
    redis_cluster = cluster_client.make_client(cache.url, timeout, max_connections=100)
    with (
        patch.object(keys, "bucket_prefixes", prefixes),
        patch.object(client, "get_client", lambda: redis_cluster),
        patch.object(commands, "get_client", lambda: redis_cluster),
        patch.object(cluster, "HURRIED_TIMEOUT", hurried),
    ):
        cluster.reset()
        flush(cache)
        yield redis_cluster
    redis_cluster.disconnect_connection_pools()


def flush(cache: CacheCluster) -> None:
    """Empty all servers."""
    for server in cache.servers:
        with server.client() as one:
            one.flushall()
