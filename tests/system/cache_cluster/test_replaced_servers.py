"""A Redis Cluster all of whose servers get new addresses, as pods of Kubernetes do behind the name of a service."""

from __future__ import annotations

from pathlib import Path

import redis

from instafeed.core.cache import cluster_client
from instafeed.core.cache.cluster import run_unguarded
from instafeed.devstack.redis import CacheCluster
from tests.support.cluster_cache import running_cluster
from tests.support.eventually import eventually
from tests.support.tcp_forwarder import TcpForwarder


def test_servers_are_found_at_the_address_of_the_url(tmp_path: Path) -> None:
    with (
        running_cluster(tmp_path / "first", 2) as first,
        running_cluster(tmp_path / "second", 2) as second,
        TcpForwarder(first.servers[0].port) as service,
    ):
        url = f"redis+cluster://:{first.servers[0].password}@127.0.0.1:{service.port}"
        client = cluster_client.make_client(url, 1, max_connections=4)

        def is_answered_by(cluster: CacheCluster) -> bool:
            try:
                run_unguarded(client, [("SET", "key", 1)])
            except redis.RedisError:
                return False
            with cluster.servers[0].client() as one, cluster.servers[1].client() as other:
                return one.dbsize() + other.dbsize() == 1

        assert is_answered_by(first)
        former = client.get_primaries()[0]
        connections = client.connections(former)
        for server in first.servers:
            server.stop()
        service.redirect(second.servers[0].port)
        service.drop_connections()
        eventually(lambda: is_answered_by(second))
        assert client.connections(former) is not connections, "those of servers that left are closed"
        client.disconnect_connection_pools()
