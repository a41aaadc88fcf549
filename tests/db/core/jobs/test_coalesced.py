"""Coalesced tasks: many requests enqueue one task, and no work is left without a look."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from instafeed.core.cache import client as cache_client
from instafeed.core.cache import keys
from instafeed.core.jobs.coalesced import CoalescedTask
from tests.support.leased_jobs import lose_tasks

pytestmark = pytest.mark.django_db

NAME = "media.tasks.remove_files"
task = CoalescedTask(NAME, mark_ttl=600)  # the mark does not expire during a test


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = redis.Redis(port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(cache_client, "get_redis_connection", lambda _: dead)


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
    assert 0 < redis_cache.pttl(keys.look_coming(NAME)) <= task.mark_ttl * 1000
    lose_tasks(redis_broker)
    task.request()
    assert count_tasks(redis_broker) == 1


def test_request_without_the_broker_returns_false(redis_broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr("celery.Celery.send_task", fail)
    assert not task.request()
    assert not task.is_look_coming(), "the mark must not silence processes that reach the broker"


def test_without_the_cache_a_process_enqueues_one_task_in_a_while(redis_broker: redis.Redis, no_cache: None) -> None:
    """Otherwise a cache outage would keep pictures of accounts that turned private in public."""
    task, at_once = CoalescedTask(NAME, mark_ttl=600), CoalescedTask(NAME, mark_ttl=0)
    assert [task.request() for _ in range(3)] == [True] * 3
    assert count_tasks(redis_broker) == 1
    assert not task.announce_look()
    assert not task.is_look_coming()
    task.begin_look()
    assert [at_once.request() for _ in range(3)] == [True] * 3
    assert count_tasks(redis_broker) == 4
