"""Read-through caching: what an invalidation has overtaken is never stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import redis

from instafeed.core.cache import client as cache
from instafeed.core.cache import keys
from instafeed.core.cache.read_through import ReadThroughCache

pytestmark = pytest.mark.usefixtures("redis_cache")


class Source:
    """A database of sorts that counts how often it is asked."""

    def __init__(self, **values: bytes) -> None:
        self.values = {int(name[1:]): value for name, value in values.items()}
        self.asked: list[list[int]] = []

    def load(self, ids: Sequence[int]) -> Mapping[int, bytes]:
        self.asked.append(list(ids))
        return {id_: self.values[id_] for id_ in ids if id_ in self.values}


def of(source: Source) -> ReadThroughCache:
    return ReadThroughCache(keys.post_card, source.load, ttl=60)


def test_a_value_is_loaded_once_and_then_cached(redis_cache: redis.Redis) -> None:
    source = Source(_1=b"one", _2=b"two")
    assert of(source).get([2, 1, 2]) == {1: b"one", 2: b"two"}
    assert of(source).get([1]) == {1: b"one"}
    assert source.asked == [[2, 1]]
    assert 0 < redis_cache.ttl(keys.post_card(1)) <= 60


def test_what_does_not_exist_is_remembered_too() -> None:
    source = Source(_1=b"one")
    for _ in range(2):
        assert of(source).get([1, 9]) == {1: b"one"}
    assert source.asked == [[1, 9]]


def test_only_what_is_missing_is_loaded() -> None:
    source = Source(_1=b"one", _2=b"two")
    of(source).get([1])
    assert of(source).get([1, 2]) == {1: b"one", 2: b"two"}
    assert source.asked == [[1], [2]]


def test_a_value_read_before_an_invalidation_is_not_stored_after_it(redis_cache: redis.Redis) -> None:
    class Overtaken(Source):
        def load(self, ids: Sequence[int]) -> Mapping[int, bytes]:
            old = dict(super().load(ids))
            self.values[1] = b"new"
            redis_cache.delete(keys.post_card(1))  # the writer's invalidation
            return old

    source = Overtaken(_1=b"old")
    assert of(source).get([1]) == {1: b"old"}, "the read began before the write"
    assert not redis_cache.exists(keys.post_card(1))
    plain = Source(_1=b"new")
    assert of(plain).get([1]) == {1: b"new"}


def test_a_reader_without_the_lease_gets_the_value_and_stores_nothing(redis_cache: redis.Redis) -> None:
    redis_cache.set(keys.post_card(1), b"\x00somebody", px=60_000)
    source = Source(_1=b"one")
    assert of(source).get([1]) == {1: b"one"}
    assert redis_cache.get(keys.post_card(1)) == b"\x00somebody"


def test_a_lease_whose_holder_died_ends_soon(redis_cache: redis.Redis) -> None:
    class Dies(Source):
        def load(self, ids: Sequence[int]) -> Mapping[int, bytes]:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        of(Dies()).get([1])
    assert 0 < redis_cache.pttl(keys.post_card(1)) <= keys.LEASE_TTL_MS


def test_without_redis_everything_is_loaded_and_redis_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def gone(*_: object, **__: object) -> None:
        tries.append(1)
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(redis.Redis, "execute_command", gone)
    source = Source(_1=b"one")
    try:
        assert of(source).get([1]) == of(source).get([1]) == {1: b"one"}
        assert len(tries) == 1
        assert source.asked == [[1], [1]]
    finally:
        cache.reset_circuit_breaker()


def test_what_may_still_appear_is_not_remembered_as_absent() -> None:
    source = Source()
    people = ReadThroughCache(keys.post_card, source.load, ttl=60, can_cache_absence=lambda id_: id_ < 5)
    assert people.get([1, 9]) == {}
    source.values = {1: b"one", 9: b"nine"}
    assert people.get([1, 9]) == {9: b"nine"}
