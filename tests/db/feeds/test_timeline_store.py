"""Timelines in Redis: only warm ones are written, they are complete down to their marker, and they are small."""

from __future__ import annotations

import pytest
import redis
from pytest_django import Settings

from feeds import timeline_store
from feeds.timeline_store import Push, Timeline
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from tests.db.feeds.feed_setup import begin_rebuild, finish_rebuild

pytestmark = pytest.mark.usefixtures("redis_cache")
BASE = 380_000_000_000_000_000  # an id has 18 digits, more than a double can represent


def fill_home_timeline(user_id: int, ids: list[int], floor: int = 0) -> str:
    key = keys.home_timeline(user_id)
    token = begin_rebuild(key)
    assert token
    assert finish_rebuild(key, token, Timeline(ids, floor))
    return key


def peek(key: str) -> Timeline:
    timeline = timeline_store.peek(key)
    assert timeline is not None
    return timeline


def test_push_leaves_cold_timelines_cold(redis_cache: redis.Redis) -> None:
    fill_home_timeline(1, [])
    assert timeline_store.push_to_home_timelines([Push(BASE, [1, 2, 3])]) == ([1], set())
    assert redis_cache.keys("*feed*") == [keys.home_timeline(1).encode()]


def test_empty_timeline_is_warm_and_complete() -> None:
    assert peek(fill_home_timeline(1, [])) == Timeline([], 0)


def test_post_pushed_twice_is_read_once() -> None:
    key = fill_home_timeline(1, [BASE])
    timeline_store.push_to_home_timelines([Push(BASE + 5, [1])])
    timeline_store.push_to_home_timelines([Push(BASE + 5, [1])])
    assert peek(key).ids == [BASE + 5, BASE]


def test_trimming_raises_the_floor(settings: Settings) -> None:
    settings.FEED_LENGTH = 10
    key = fill_home_timeline(1, [])
    for number in range(12):
        timeline_store.push_to_home_timelines([Push(BASE + number, [1])])
    assert peek(key) == Timeline([BASE + number for number in range(11, 1, -1)], floor=BASE + 1)


def test_late_deliveries_do_not_lower_the_floor(settings: Settings) -> None:
    """The oldest id left cannot be the floor: a late old post may be at the head while newer ones were trimmed."""
    settings.FEED_LENGTH = 10
    key = fill_home_timeline(1, [])
    for number in range(100, 110):
        timeline_store.push_to_home_timelines([Push(BASE + number, [1])])
    for late in (1, 2):
        timeline_store.push_to_home_timelines([Push(BASE + late, [1])])
    timeline = peek(key)
    assert timeline.floor == BASE + 101, "a newer post than the oldest one left was trimmed"
    assert timeline.ids == [BASE + number for number in range(109, 101, -1)]


def test_ids_that_a_double_cannot_distinguish_stay_distinct(settings: Settings) -> None:
    settings.FEED_LENGTH = 2
    key = fill_home_timeline(1, [])
    for number in range(4):
        timeline_store.push_to_home_timelines([Push(BASE + number, [1])])
    assert peek(key) == Timeline([BASE + 3, BASE + 2], floor=BASE + 1)


def test_push_during_a_rebuild_is_kept() -> None:
    key = keys.home_timeline(1)
    token = begin_rebuild(key)
    assert token
    assert timeline_store.push_to_home_timelines([Push(BASE + 7, [1])]) == ([1], set())
    assert timeline_store.peek(key) is None, "not readable before the rebuild is finished"
    assert finish_rebuild(key, token, Timeline([BASE + 5, BASE + 3], 0))
    assert peek(key).ids == [BASE + 7, BASE + 5, BASE + 3]


def test_rebuild_merges_pushes_in_order_and_trims(settings: Settings) -> None:
    settings.FEED_LENGTH = 4
    key = keys.home_timeline(1)
    token = begin_rebuild(key)
    assert token
    for number in (6, 9, 1, 6):
        timeline_store.push_to_home_timelines([Push(BASE + number, [1])])
    finish_rebuild(key, token, Timeline([BASE + 8, BASE + 6, BASE + 5, BASE + 4], floor=BASE + 3))
    assert peek(key) == Timeline([BASE + number for number in (9, 8, 6, 5)], floor=BASE + 4)


def test_only_one_process_rebuilds_a_timeline() -> None:
    key = keys.home_timeline(1)
    token = begin_rebuild(key)
    assert token
    assert begin_rebuild(key) is None
    assert not finish_rebuild(key, "another token", Timeline([BASE], 0))
    assert finish_rebuild(key, token, Timeline([BASE], 0))
    assert begin_rebuild(key) is None, "a warm timeline is not rebuilt"


def test_invalidation_discards_a_running_rebuild() -> None:
    key = keys.home_timeline(1)
    token = begin_rebuild(key)
    assert token
    timeline_store.evict([key])
    assert not finish_rebuild(key, token, Timeline([BASE], 0))
    assert timeline_store.peek(key) is None


def test_claim_of_a_rebuild_expires(redis_cache: redis.Redis) -> None:
    key = keys.home_timeline(1)
    assert begin_rebuild(key)
    assert 0 < redis_cache.pttl(key) <= keys.REBUILD_TTL_MS


def test_home_timeline_above_the_cursor_is_not_transferred() -> None:
    fill_home_timeline(1, [BASE + 5, BASE + 3], floor=BASE + 1)
    assert timeline_store.read_snapshot(1, BASE + 2, 10).home_timeline == Timeline([BASE + 5, BASE + 3], BASE + 1)
    assert timeline_store.read_snapshot(1, BASE + 1, 10).home_timeline == Timeline([], BASE + 1)


def test_reading_extends_the_ttl(redis_cache: redis.Redis, settings: Settings) -> None:
    key = fill_home_timeline(1, [BASE])
    redis_cache.expire(key, settings.FEED_TTL // 2)
    timeline_store.read_snapshot(1, None, 10)
    assert settings.FEED_TTL // 2 < redis_cache.ttl(key) <= settings.FEED_TTL


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1, 2), (1, 1, 3, 3, 2)])
def test_author_timeline_is_strictly_descending(order: tuple[int, ...]) -> None:
    key = keys.author_timeline(1, 0)
    token = begin_rebuild(key)
    assert token
    finish_rebuild(key, token, Timeline([BASE], 0))
    for number in order:
        timeline_store.push_to_author_timelines([(1, BASE + number)])
    elements = get_client().lrange(key, 0, -1)
    assert [int(element) for element in elements] == [BASE + 3, BASE + 2, BASE + 1, BASE, 0]


def test_author_timeline_rejects_posts_below_its_floor() -> None:
    key = keys.author_timeline(1, 0)
    token = begin_rebuild(key)
    assert token
    finish_rebuild(key, token, Timeline([BASE + 9], floor=BASE + 5))
    timeline_store.push_to_author_timelines([(1, BASE + 5)])
    assert peek(key) == Timeline([BASE + 9], floor=BASE + 5)


def test_post_in_a_timeline_takes_at_most_11_bytes(redis_cache: redis.Redis, settings: Settings) -> None:
    assert settings.FEED_LENGTH == 500
    step = 4_194_304_123  # about a second
    key = fill_home_timeline(1, [BASE - number * step for number in range(500)], floor=BASE - 600 * step)
    assert memory_of(redis_cache, key) <= 11 * 500
    for number in range(1, 5_000):
        timeline_store.push_to_home_timelines([Push(BASE + number * step, [1])])
    entries = redis_cache.llen(key) - 1
    assert entries >= 500
    assert memory_of(redis_cache, key) <= 11 * entries


def memory_of(redis_cache: redis.Redis, key: str) -> int:
    memory = redis_cache.memory_usage(key, samples=0)
    assert memory is not None
    return memory
