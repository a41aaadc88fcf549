"""The contract of feeds on a Redis Cluster, whose servers are also restarted with stale data and lose deliveries."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from pytest_django import Settings

from feeds import missed_buckets
from feeds.models import FanOut, MissedBucket
from instafeed.core.cache import cluster
from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.core.jobs.leased import JobState
from instafeed.devstack.redis import CacheCluster
from tests.db.feeds.feed_setup import deliver_all
from tests.db.feeds.test_stateful import MODES, FeedMachine, Mode, run_machine
from tests.support.eventually import eventually

STABLE_CHECKS = 15


class ClusterMachine(FeedMachine):
    cache: CacheCluster  # set by the test

    @rule(number=st.integers(0, 2))
    def restart_server_from_snapshot(self, number: int) -> None:
        """Its timelines of that time come back, but they belong to another generation."""
        self.read_all_feeds()
        server = self.cache.servers[number]
        with server.client() as one:
            one.save()
        server.kill()
        server.start(timeout=60)
        self._wait_until_all_answer()

    @rule(number=st.integers(0, 2))
    def deliver_while_a_server_is_frozen(self, number: int) -> None:
        """It keeps its timelines, which then look complete and lack posts."""
        self.read_all_feeds()
        server = self.cache.servers[number]
        server.pause()
        try:
            deliver_all()
        finally:
            server.resume()
        self._wait_until_all_answer()

    def deliver_everything(self) -> None:
        """On a busy machine a server may seem to fail at any time. Then fan-outs are postponed, or miss buckets."""
        eventually(self._try_to_deliver_everything)

    def _try_to_deliver_everything(self) -> bool:
        cluster.reset()
        deliver_all()
        missed_buckets.evict_all()
        unfinished = FanOut.objects.exclude(state=JobState.DONE)
        return not unfinished.exists() and not MissedBucket.objects.exists()

    def _wait_until_all_answer(self) -> None:
        """A server that was frozen works at first, then notices that it has missed the others, and rejoins them."""
        successes = 0

        def is_stable() -> bool:
            nonlocal successes
            successes = successes + 1 if all(server.ready() for server in self.cache.servers) else 0
            successes = successes if self.cache.is_formed() else 0
            return successes >= STABLE_CHECKS

        eventually(is_stable)
        cluster.reset()


@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", [MODES["push"], MODES["hybrid"], MODES["short feeds"]])
def test_every_feed_equals_the_model(
    mode: Mode,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    cache_cluster: CacheCluster,
    hurried_cluster: ClusterClient,
) -> None:
    monkeypatch.setattr(ClusterMachine, "cache", cache_cluster, raising=False)
    run_machine(ClusterMachine, mode, settings, monkeypatch)
