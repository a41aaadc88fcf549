"""Commands on a Redis Cluster of three servers: routing, redirections, lost scripts, servers that are down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

import pytest
import redis

from feeds import timeline_store
from feeds.timeline_store import Timeline
from instafeed.core.cache import buckets, client, cluster, commands, keys
from instafeed.core.cache.client import CacheUnavailable, ServersFailed
from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.core.cache.lua import Script
from instafeed.core.jobs.queues import QUEUES
from instafeed.devstack.redis import CacheCluster, RedisServer
from tests.db.feeds.feed_setup import begin_rebuild, finish_rebuild
from tests.support.cluster_cache import BUCKETS, flush
from tests.support.eventually import eventually

IDS = range(1, 200)
_set_all = Script("for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1]) end return #KEYS")

pytestmark = pytest.mark.usefixtures("redis_cluster")


def store(ids: Iterator[int] | range = IDS) -> None:
    commands.run_unguarded([("SET", keys.post_card(id_), b"card %d" % id_) for id_ in ids])


def read() -> dict[int, bytes | None]:
    (values,) = commands.run([("MGET", *map(keys.post_card, IDS))])
    return dict(zip(IDS, values, strict=True))


def owner(cache: CacheCluster, redis_cluster: ClusterClient, key: str) -> RedisServer:
    name = cluster.owner_name(redis_cluster, key)
    return next(server for server in cache.servers if name == f"127.0.0.1:{server.port}")


@contextmanager
def stopped(cache: CacheCluster, server: RedisServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start(timeout=60)
        eventually(cache.is_formed)
        cluster.reset()


def test_buckets_are_spread_evenly(redis_cluster: ClusterClient) -> None:
    owners = Counter(cluster.owner_name(redis_cluster, keys.probe(bucket)) for bucket in keys.all_buckets())
    assert sorted(owners.values()) == [10, 11, 11]


def test_values_are_read_in_order_from_all_servers(cache_cluster: CacheCluster) -> None:
    store()
    assert read() == {id_: b"card %d" % id_ for id_ in IDS}
    sizes = []
    for server in cache_cluster.servers:
        with server.client() as one:
            sizes.append(one.dbsize())
    assert sum(sizes) == len(IDS)
    assert all(sizes)
    counts = commands.run_unguarded([("EXISTS", *map(keys.post_card, IDS)), ("UNLINK", *map(keys.post_card, IDS[:50]))])
    assert counts == [len(IDS), 50]
    assert sorted(map(keys.id_of, commands.scan("card"))) == list(IDS[50:])


def test_lost_scripts_are_sent_again(cache_cluster: CacheCluster) -> None:
    calls = [_set_all.command([keys.home_timeline(id_)], ["x"]) for id_ in IDS]
    for _ in range(2):
        assert commands.run(calls) == [1] * len(IDS)
        for server in cache_cluster.servers:
            with server.client() as one:
                one.script_flush()


def test_scripts_with_keys_of_several_buckets_are_refused() -> None:
    with pytest.raises(redis.RedisError, match=r"CROSSSLOT|hash slot|same slot"):
        commands.run_unguarded([_set_all.command([keys.home_timeline(1), keys.home_timeline(2)], ["x"])])


def test_a_server_that_is_down_costs_its_own_keys_only(
    cache_cluster: CacheCluster, redis_cluster: ClusterClient
) -> None:
    store()
    gone = owner(cache_cluster, redis_cluster, keys.post_card(1))
    theirs = {id_ for id_ in IDS if owner(cache_cluster, redis_cluster, keys.post_card(id_)) is gone}
    with stopped(cache_cluster, gone):
        assert read() == {id_: None if id_ in theirs else b"card %d" % id_ for id_ in IDS}
        with pytest.raises(CacheUnavailable):
            commands.run([("GET", keys.post_card(1))])
        with pytest.raises(ServersFailed) as failure:
            commands.run_unguarded([("UNLINK", *map(keys.post_card, IDS))])
        assert failure.value.keys == set(map(keys.post_card, theirs))
    assert read()[1] is None
    store()
    assert all(read().values())


def test_another_process_of_a_server_has_another_generation(
    cache_cluster: CacheCluster, redis_cluster: ClusterClient
) -> None:
    """A snapshot, a promoted replica's data, and what a moved slot brings along, are never read."""
    store()
    server = owner(cache_cluster, redis_cluster, keys.post_card(1))
    theirs = {id_ for id_ in IDS if owner(cache_cluster, redis_cluster, keys.post_card(id_)) is server}
    with server.client() as one:
        one.save()
    with stopped(cache_cluster, server):
        pass
    with server.client() as one:
        assert one.dbsize() == len(theirs), "the new process has loaded the snapshot"
    assert {id_ for id_, value in read().items() if value is None} == theirs
    assert commands.purge() == len(theirs)
    with server.client() as one:
        assert one.dbsize() == 0


class MovingSlot:
    """A bucket whose slot moves once `begin` is called, and ids of the bucket."""

    def __init__(self, bucket: int, source: RedisServer, target: RedisServer) -> None:
        self.bucket, self.source, self.target = bucket, source, target
        self.ids = [id_ for id_ in IDS if keys.bucket_of(id_) == bucket]
        self._has_moved = False

    def begin(self) -> None:
        self._begin(self.source, self.target)

    def finish(self) -> None:
        """Give the slot to the new server."""
        self._finish(self.source, self.target)
        self._has_moved = True

    def give_back(self) -> None:
        """Give the slot, whose servers must be empty, to the old server, if it has moved."""
        if self._has_moved:
            self._begin(self.target, self.source)
            self._finish(self.target, self.source)
        for server in (self.source, self.target):
            self._set(server, "STABLE")

    def _begin(self, source: RedisServer, target: RedisServer) -> None:
        self._set(target, "IMPORTING", _node_id(source))
        self._set(source, "MIGRATING", _node_id(target))

    def _finish(self, source: RedisServer, target: RedisServer) -> None:
        for server in (target, source):
            self._set(server, "NODE", _node_id(target))

    def _set(self, server: RedisServer, *arguments: str) -> None:
        slot = buckets.hash_slot(buckets.hash_tags(BUCKETS)[self.bucket][1:-2])
        with server.client() as one:
            one.execute_command("CLUSTER", "SETSLOT", slot, *arguments)


@pytest.fixture
def moving_slot(cache_cluster: CacheCluster, redis_cluster: ClusterClient) -> Iterator[MovingSlot]:
    bucket = 1
    source = owner(cache_cluster, redis_cluster, keys.probe(bucket))
    moving = MovingSlot(bucket, source, next(server for server in cache_cluster.servers if server is not source))
    yield moving
    flush(cache_cluster)
    moving.give_back()


def _node_id(server: RedisServer) -> str:
    with server.client() as one:
        raw = one.execute_command("CLUSTER", "MYID")
    return raw.decode() if isinstance(raw, bytes) else str(raw)


def test_slot_that_moves_is_followed(
    cache_cluster: CacheCluster, redis_cluster: ClusterClient, moving_slot: MovingSlot
) -> None:
    """While a slot moves, and afterwards, keys are written and deleted where they are."""
    store()
    source, target, ids = moving_slot.source, moving_slot.target, moving_slot.ids
    moving_slot.begin()
    with source.client() as old:
        moved = next(name for name in old.keys("*") if name.endswith(b"card:%d" % ids[0]))
        old.execute_command(*("MIGRATE", "127.0.0.1", target.port, moved, 0, 5_000, "AUTH", target.password))
    assert read()[ids[0]] is None, "cold: the new server has another generation"
    assert read()[ids[1]] == b"card %d" % ids[1]
    store(range(ids[0], ids[0] + 1))
    assert read()[ids[0]] == b"card %d" % ids[0]
    commands.run_unguarded([("UNLINK", *map(keys.post_card, ids))])
    assert [read()[id_] for id_ in ids] == [None] * len(ids)
    moving_slot.finish()
    store()
    assert all(read().values())
    assert owner(cache_cluster, redis_cluster, keys.post_card(ids[0])) is target


def build_timeline(viewer_id: int) -> None:
    key = keys.home_timeline(viewer_id)
    token = begin_rebuild(key)
    assert token
    assert finish_rebuild(key, token, Timeline([5, 3], 0))


def test_warm_pages_come_from_redis_while_the_slot_moves(moving_slot: MovingSlot) -> None:
    viewer_id = moving_slot.ids[0]
    build_timeline(viewer_id)
    celebrity = 4
    commands.run_unguarded(
        [
            ("SADD", keys.visible_authors(viewer_id), 0, celebrity),
            ("SADD", keys.celebrities(moving_slot.bucket), 0, celebrity),
            ("RPUSH", keys.author_timeline(celebrity, moving_slot.bucket), 4, "-0"),
        ]
    )
    moving_slot.begin()
    snapshot = timeline_store.read_snapshot(viewer_id, None, 10)
    assert snapshot.home_timeline == Timeline([5, 3], 0)
    assert snapshot.author_timelines == {celebrity: Timeline([4], 0)}


def test_bucket_is_evicted_from_both_servers_while_its_slot_moves(moving_slot: MovingSlot) -> None:
    """What was rebuilt meanwhile is on the new server, and may have missed the same delivery."""
    build_timeline(moving_slot.ids[0])
    moving_slot.begin()
    build_timeline(moving_slot.ids[1])
    for server in (moving_slot.source, moving_slot.target):
        with server.client() as one:
            assert len(one.keys("*feed:*")) == 1
    timeline_store.evict_bucket(moving_slot.bucket)
    for server in (moving_slot.source, moving_slot.target):
        with server.client() as one:
            assert not one.keys("*feed:*")


def test_bucket_is_evicted_from_a_server_that_this_process_does_not_know(moving_slot: MovingSlot) -> None:
    moving_slot.begin()
    build_timeline(moving_slot.ids[0])
    moving_slot.finish()
    timeline_store.evict_bucket(moving_slot.bucket)
    with moving_slot.target.client() as one:
        assert not one.keys("*feed:*")


def test_forked_process_has_connections_of_its_own() -> None:
    """On a connection of both, each would read replies to the other."""
    own = connection_id()
    with get_context("fork").Pool(1) as pool:
        assert pool.apply(connection_id) != own
    assert connection_id() == own


def connection_id() -> int:
    """Return the number that a server gave to the connection that is used next."""
    redis_cluster = client.get_client()
    assert isinstance(redis_cluster, ClusterClient)
    connections = redis_cluster.connections(redis_cluster.get_primaries()[0])
    connection = connections.borrow(connections.timeout)
    connection.send(b"CLIENT ID\r\n")
    (id_,) = connection.read(1)
    connections.give_back(connection, connections.timeout)
    return int(id_)


def test_keys_of_no_bucket_lie_where_they_are_looked_for() -> None:
    names = [keys.worker(queue) for queue in QUEUES]
    commands.run_unguarded([("SET", name, 1) for name in names])
    assert commands.run([("MGET", *names), ("EXISTS", *names)]) == [[b"1"] * len(names), len(names)]
