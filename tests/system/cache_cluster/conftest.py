from __future__ import annotations

from collections.abc import Iterator

import pytest

from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.devstack.redis import CacheCluster
from tests.support.cluster_cache import running_cluster, used_as_cache


@pytest.fixture(scope="session")
def cache_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cache:
        yield cache


@pytest.fixture
def redis_cluster(cache_cluster: CacheCluster) -> Iterator[ClusterClient]:
    with used_as_cache(cache_cluster) as client:
        yield client
