"""The read-through cache never stores a value that an invalidation has made stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import redis

from instafeed.core.cache import client as cache_client
from instafeed.core.cache import commands, keys
from instafeed.core.cache.read_through import ReadThroughCache

pytestmark = pytest.mark.usefixtures("redis_cache")


class Source:
    """A stand-in for the database that records the ids it is asked for."""

    def __init__(self, **values: bytes) -> None:
        self.values = {int(name[1:]): value for name, value in values.items()}
        self.loads: list[list[int]] = []

    def load(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        self.loads.append(list(ids))
        return {id_: self.values[id_] for id_ in ids if id_ in self.values}


def cache_of(source: Source) -> ReadThroughCache:
    return ReadThroughCache(keys.post_card, source.load, ttl=60)


def test_a_value_is_loaded_once(redis_cache: redis.Redis) -> None:
    source = Source(_1=b"one", _2=b"two")
    assert cache_of(source).get([2, 1, 2]) == {1: b"one", 2: b"two"}
    assert cache_of(source).get([1]) == {1: b"one"}
    assert source.loads == [[2, 1]]
    assert 0 < redis_cache.ttl(keys.post_card(1)) <= 60


def test_absence_is_cached() -> None:
    source = Source(_1=b"one")
    for _ in range(2):
        assert cache_of(source).get([1, 9]) == {1: b"one"}
    assert source.loads == [[1, 9]]


def test_only_missing_values_are_loaded() -> None:
    source = Source(_1=b"one", _2=b"two")
    cache_of(source).get([1])
    assert cache_of(source).get([1, 2]) == {1: b"one", 2: b"two"}
    assert source.loads == [[1], [2]]


def test_a_value_loaded_before_an_invalidation_is_not_stored_after_it(redis_cache: redis.Redis) -> None:
    class OvertakenSource(Source):
        def load(self, ids: Sequence[int]) -> Mapping[int, bytes]:
            old = dict(super().load(ids))
            self.values[1] = b"new"
            redis_cache.delete(keys.post_card(1))  # the writer's invalidation
            return old

    source = OvertakenSource(_1=b"old")
    assert cache_of(source).get([1]) == {1: b"old"}, "the read began before the write"
    assert not redis_cache.exists(keys.post_card(1))
    plain = Source(_1=b"new")
    assert cache_of(plain).get([1]) == {1: b"new"}


def test_a_reader_without_the_lease_stores_nothing(redis_cache: redis.Redis) -> None:
    redis_cache.set(keys.post_card(1), b"\x00other token", px=60_000)
    source = Source(_1=b"one")
    assert cache_of(source).get([1]) == {1: b"one"}
    assert redis_cache.get(keys.post_card(1)) == b"\x00other token"


def test_the_lease_of_a_failed_reader_expires(redis_cache: redis.Redis) -> None:
    class FailingSource(Source):
        def load(self, ids: Sequence[int]) -> Mapping[int, bytes]:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cache_of(FailingSource()).get([1])
    assert 0 < redis_cache.pttl(keys.post_card(1)) <= keys.LEASE_TTL_MS


def test_during_an_outage_all_values_are_loaded_and_redis_is_tried_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = []

    def gone(*_: object, **__: object) -> None:
        attempts.append(1)
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(commands, "exchange", gone)
    monkeypatch.setattr(cache_client.breaker, "cooldown", 1_000.0)
    source = Source(_1=b"one")
    try:
        assert cache_of(source).get([1]) == cache_of(source).get([1]) == {1: b"one"}
        assert len(attempts) == 1
        assert source.loads == [[1], [1]]
    finally:
        cache_client.breaker.reset()


def test_absence_is_not_cached_if_the_id_may_appear() -> None:
    source = Source()
    cache = ReadThroughCache(keys.post_card, source.load, ttl=60, can_cache_absence=lambda id_: id_ < 5)
    assert cache.get([1, 9]) == {}
    source.values = {1: b"one", 9: b"nine"}
    assert cache.get([1, 9]) == {9: b"nine"}


def test_lease_of_another_reader_is_no_value_when_redis_fails() -> None:
    cache_client.breaker.trip()
    assert cache_of(Source()).fill_misses([1], [b"\x00token"]) == {}
