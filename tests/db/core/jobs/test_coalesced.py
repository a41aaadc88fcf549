"""Coalesced tasks: many requests enqueue one task, and no work is left without a look."""

from __future__ import annotations

import pytest
import redis

from instafeed.core.cache import client as cache_client
from instafeed.core.cache import keys
from instafeed.core.jobs.coalesced import CoalescedTask
from tests.support.leased_jobs import lose_tasks

pytestmark = pytest.mark.django_db

NAME = "media.tasks.remove_files"
task = CoalescedTask(NAME)


def count_tasks(redis_broker: redis.Redis) -> int:
    return redis_broker.llen("bulk")


def test_requests_until_the_look_enqueue_one_task(redis_broker: redis.Redis) -> None:
    assert [task.request() for _ in range(3)] == [True] * 3
    assert count_tasks(redis_broker) == 1
    assert task.is_look_coming()
    task.begin_look()
    assert not task.is_look_coming()
    assert task.request()
    assert count_tasks(redis_broker) == 2, "its rows may be newer than the look"


def test_requests_before_an_announced_look_enqueue_no_task(redis_broker: redis.Redis) -> None:
    assert task.announce_look()
    assert not task.announce_look(), "another look is coming"
    assert task.request()
    assert count_tasks(redis_broker) == 0
    task.begin_look()
    assert task.request()
    assert count_tasks(redis_broker) == 1


def test_lost_task_is_requested_again_when_its_mark_expires(
    redis_broker: redis.Redis, redis_cache: redis.Redis
) -> None:
    task.request()
    assert 0 < redis_cache.pttl(keys.look_coming(NAME)) <= keys.LOOK_COMING_TTL_MS
    lose_tasks(redis_broker)
    task.request()
    assert count_tasks(redis_broker) == 1


def test_request_without_redis_returns_false(redis_broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("celery.Celery.send_task", fail)
        assert not task.request()
    cache_client.record_failure(redis.ConnectionError("gone"))
    assert not task.request()
    assert not task.announce_look()
    assert not task.is_look_coming()
    task.begin_look()
    assert count_tasks(redis_broker) == 0
