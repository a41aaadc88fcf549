"""A server of the cluster that stays down: the other servers' viewers, keys and invalidations are not affected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from pytest_django import Settings

from accounts.models import User
from feeds import backfill
from feeds.models import MissedBucket
from instafeed.core.cache import cluster, cluster_client, commands, invalidation, keys
from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.core.cache.read_through import ReadThroughCache
from instafeed.core.jobs.leased import Outcome
from instafeed.core.models import Invalidation
from instafeed.core.monitoring.health import probe_cache
from instafeed.devstack.redis import CacheCluster, RedisServer
from tests.db.feeds.feed_setup import create_posts, deliver, follow
from tests.support.cluster_cache import NODE_TIMEOUT, PATIENT_TIMEOUT
from tests.support.eventually import eventually
from tests.support.factories import UserFactory
from tests.system.cache_cluster.conftest import SHORT_TIMEOUT, Waits

pytestmark = pytest.mark.django_db


class Outage:
    """A server that is down, and ids whose keys lie on it or on the others."""

    def __init__(self, client: ClusterClient, server: RedisServer) -> None:
        self._client, self._name = client, f"127.0.0.1:{server.port}"

    def has(self, id_: int) -> bool:
        return cluster.owner_name(self._client, keys.home_timeline(id_)) == self._name

    def create_user(self, *, affected: bool) -> User:
        while self.has((user := UserFactory()).pk) is not affected:
            pass
        return user

    def ids(self, count: int, *, affected: bool) -> list[int]:
        return [id_ for id_ in range(1, 1_000) if self.has(id_) is affected][:count]


@pytest.fixture
def outage(cache_cluster: CacheCluster, redis_cluster: ClusterClient) -> Iterator[Outage]:
    server = cache_cluster.servers[0]
    server.stop()
    try:
        yield Outage(redis_cluster, server)
    finally:
        server.start(timeout=60)
        eventually(cache_cluster.is_formed)
        cluster.reset()


def test_posts_of_an_author_whose_own_server_is_down_are_delivered(outage: Outage) -> None:
    author, follower = outage.create_user(affected=True), outage.create_user(affected=False)
    follow(author, follower)
    assert backfill.rebuild_home_timeline(follower.pk)
    (post_id,) = create_posts(author)
    assert deliver(post_id) is Outcome.FINISHED
    (elements,) = commands.run_unguarded([("LRANGE", keys.home_timeline(follower.pk), 0, -2)])
    assert str(post_id).encode() in elements
    assert MissedBucket.objects.filter(bucket=keys.bucket_of(author.pk)).exists()


def test_post_is_done_although_all_its_followers_are_on_the_server_that_is_down(outage: Outage) -> None:
    author, follower = outage.create_user(affected=False), outage.create_user(affected=True)
    follow(author, follower)
    (post_id,) = create_posts(author)
    assert deliver(post_id) is Outcome.FINISHED
    assert MissedBucket.objects.filter(bucket=keys.bucket_of(follower.pk)).exists()


def test_values_of_other_servers_are_still_cached(outage: Outage) -> None:
    cache = ReadThroughCache(keys.post_card, lambda ids: dict.fromkeys(ids, b"card"), 60)
    affected, others = outage.ids(3, affected=True), outage.ids(3, affected=False)
    assert cache.get([*affected, *others]) == dict.fromkeys([*affected, *others], b"card")
    assert commands.run([("MGET", *map(keys.post_card, others))]) == [[b"card"] * 3]


def test_a_lease_is_never_a_value(outage: Outage) -> None:
    (affected,), (deleted,) = outage.ids(1, affected=True), outage.ids(1, affected=False)
    commands.run_unguarded([("SET", keys.post_card(deleted), b"\x00token of another reader")])
    cache = ReadThroughCache(keys.post_card, lambda ids: {}, 60)
    assert cache.get([affected, deleted]) == {}


def test_invalidations_of_other_servers_do_not_wait(outage: Outage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invalidation, "SWEEP_BATCH_SIZE", 2)
    monkeypatch.setattr(invalidation, "MIN_SWEEP_AGE", invalidation.MIN_SWEEP_AGE * 0)
    for id_ in outage.ids(3, affected=True):
        Invalidation.objects.create(keys=[keys.post_card(id_)])
    (other,) = outage.ids(1, affected=False)
    commands.run_unguarded([("SET", keys.post_card(other), b"stale")])
    Invalidation.objects.create(keys=[keys.post_card(other)])
    invalidation.sweep()
    assert commands.run([("MGET", keys.post_card(other))]) == [[None]]


def test_keys_of_earlier_processes_are_purged_from_other_servers(
    outage: Outage, cache_cluster: CacheCluster, redis_cluster: ClusterClient
) -> None:
    for server in cache_cluster.servers[1:]:
        name = f"127.0.0.1:{server.port}"
        key = next(
            key for key in map(keys.post_card, range(1, 1_000)) if cluster.owner_name(redis_cluster, key) == name
        )
        with server.client() as one:
            one.set(f"0ldproce-{key}", 1)
    assert commands.purge() >= 2
    for server in cache_cluster.servers[1:]:
        with server.client() as one:
            assert not one.keys("0ldproce-*")


def test_process_starts(outage: Outage, cache_cluster: CacheCluster) -> None:
    for _ in range(20):
        client = cluster_client.make_client(cache_cluster.url, PATIENT_TIMEOUT, max_connections=2)
        client.disconnect_connection_pools()


def test_health_follows_a_slot_that_moves(
    cache_cluster: CacheCluster, redis_cluster: ClusterClient, settings: Settings
) -> None:
    settings.REDIS_URL = cache_cluster.url
    eventually(lambda: probe_cache()["status"] == "ok")
    source, target = cache_cluster.servers[:2]
    slots = [
        redis_cluster.keyslot(name)
        for bucket in keys.all_buckets()
        if cluster.owner_name(redis_cluster, name := keys.probe(bucket)) == f"127.0.0.1:{source.port}"
    ]
    try:
        move(slots, source, target)
        eventually(lambda: probe_cache()["status"] == "ok")
    finally:
        move(slots, target, source)
        eventually(lambda: probe_cache()["status"] == "ok")


def move(slots: list[int], source: RedisServer, target: RedisServer) -> None:
    with source.client() as old, target.client() as new:
        old.flushall()
        name, old_name = new.execute_command("CLUSTER", "MYID"), old.execute_command("CLUSTER", "MYID")
        for slot in slots:
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", old_name)
            for client in (new, old):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)


def test_cluster_without_a_majority_is_left_alone(
    cache_cluster: CacheCluster, hurried_cluster: ClusterClient, waits: Waits
) -> None:
    """Two of three servers are frozen, so the third refuses commands as well."""
    calls = [("SET", keys.post_card(id_), 1) for id_ in range(1, 200)]
    frozen = cache_cluster.servers[:2]
    for server in frozen:
        server.pause()
    try:
        with cache_cluster.servers[2].client() as third:
            third.config_set("cluster-node-timeout", 500)
            try:
                eventually(lambda: third.execute_command("CLUSTER INFO")["cluster_state"] == "fail")
            finally:
                third.config_set("cluster-node-timeout", NODE_TIMEOUT)
        for _ in range(2):
            waits.take(frozen)
            with pytest.raises(redis.RedisError):
                commands.run_unguarded(calls)
            assert sum(waits.take(frozen)) <= 4 * SHORT_TIMEOUT, "two timeouts, and two more to look for the slots"
    finally:
        for server in frozen:
            server.resume()
        eventually(lambda: all(server.ready() for server in cache_cluster.servers) and cache_cluster.is_formed())
        cluster.reset()


def test_cluster_without_servers_raises_what_callers_catch(
    cache_cluster: CacheCluster, redis_cluster: ClusterClient
) -> None:
    """Beat uses the raw client. redis-py's own exception is not a redis.RedisError."""
    for server in cache_cluster.servers:
        server.stop()
    try:
        for node in redis_cluster.get_primaries():
            with pytest.raises(redis.RedisError):
                redis_cluster.set(keys.BEAT, "token")
            with pytest.raises(redis.RedisError):
                redis_cluster.execute_command("PING", target_nodes=node)
    finally:
        for server in cache_cluster.servers:
            server.launch()
        eventually(lambda: all(server.ready() for server in cache_cluster.servers) and cache_cluster.is_formed())
        cluster.reset()
