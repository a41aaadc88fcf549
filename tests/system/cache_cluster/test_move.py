"""An installation moves from one Redis to a cluster and back: its programs restart with another REDIS_URL."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.cluster_cache import running_cluster
from tests.support.eventually import eventually
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services
from tests.system.cache_cluster.test_faults import READERS, Network


def test_feeds_stay_the_same(tmp_path: Path) -> None:
    with prebuilt_services() as services, running_cluster(tmp_path / "cluster") as cluster:
        with LiveStack(services, CELEBRITY_THRESHOLD="5") as stack:
            network = Network(stack)
            network.post()
            eventually(network.is_complete)
            post_and_verify(network)
        with LiveStack(services, REDIS_URL=cluster.url, CELEBRITY_THRESHOLD="5") as stack:
            network.move(stack)
            assert network.is_complete(), "feeds are cold: the first read rebuilds them"
            post_and_verify(network)
        with services.cache.client() as old:
            assert old.dbsize(), "it has kept timelines that lack the posts of this time"
            old.flushdb()  # as docs/scaling.md says
        with LiveStack(services, CELEBRITY_THRESHOLD="5") as stack:
            network.move(stack)
            assert network.is_complete()
            post_and_verify(network)


def post_and_verify(network: Network) -> None:
    """Post to feeds that are warm now, and compare Redis with the database."""
    network.post()
    eventually(network.is_complete)
    output = network.stack.manage("verify_feeds")
    checked = re.search(r"Checking (\d+) warm feeds", output)
    assert checked, output
    assert int(checked[1]) >= READERS
