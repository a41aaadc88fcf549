"""Workers and the broker fail during a fan-out: every post still reaches every follower once, within a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from instafeed.core.cache import keys
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

FOLLOWERS = 600  # of the author, all with cached feeds
TIMEOUT = 60  # seconds


@pytest.fixture(scope="module")
def slow_stack() -> Iterator[LiveStack]:
    """A stack with a low fan-out rate, so that a worker can be killed in the middle of a fan-out."""
    stack = LiveStack(
        None, "--web-workers", "1", "--celery-workers", "2", FAN_OUT_RATE_LIMIT="150", FAN_OUT_BATCH_SIZE="25"
    )
    try:
        yield stack.start()
    finally:
        stack.close()


@pytest.fixture(scope="module")
def author(slow_stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> HttpUser:
    """An author with FOLLOWERS imported followers, and the reader."""
    author = HttpUser(slow_stack, "u5000000")
    edges: Path = tmp_path_factory.mktemp("follows") / "edges.tsv"
    edges.write_text("".join(f"{number}\t5000000\n" for number in range(FOLLOWERS)))
    for command in (["import_follows", str(edges)], ["backfill_feeds", "--all"]):
        result = slow_stack.manage(*command)
        assert result.returncode == 0, result.stderr
    return author


@pytest.fixture(scope="module")
def reader(slow_stack: LiveStack, author: HttpUser) -> HttpUser:
    """The last follower in fan-out order, because its user id is the highest."""
    reader = HttpUser(slow_stack)
    reader.follow(author)
    assert reader.feed() == []
    return reader


@pytest.fixture(scope="module")
def cache(slow_stack: LiveStack) -> redis.Redis:
    return redis.Redis.from_url(slow_stack.environment["REDIS_URL"])


def count_feeds_with(cache: redis.Redis, post_id: str) -> int:
    """Count the cached feeds that contain the post."""
    pipe = cache.pipeline(transaction=False)
    for key in cache.scan_iter(f"{keys.HOME_TIMELINE_PREFIX}*", count=1_000):
        pipe.lpos(key, post_id)
    return sum(position is not None for position in pipe.execute())


def all_feeds_have(cache: redis.Redis, post_ids: list[str]) -> bool:
    return all(count_feeds_with(cache, post_id) >= FOLLOWERS + 2 for post_id in post_ids)


def assert_feed(stack: LiveStack, reader: HttpUser, expected: list[str]) -> None:
    assert reader.feed(limit=2)[: len(expected)] == expected
    assert len(set(reader.feed())) == len(reader.feed())
    verified = stack.manage("verify_feeds")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.timeout(300)
def test_killed_worker_loses_no_delivery(
    slow_stack: LiveStack, author: HttpUser, reader: HttpUser, cache: redis.Redis
) -> None:
    post_id = author.create_post("kill the worker")
    eventually(lambda: count_feeds_with(cache, post_id) > 0)
    for process in slow_stack.tree("worker"):
        process.kill()
    delivered = count_feeds_with(cache, post_id)
    assert delivered < FOLLOWERS, "the fan-out was over before the kill"
    eventually(lambda: all_feeds_have(cache, [post_id]))
    assert_feed(slow_stack, reader, [post_id])


@pytest.mark.timeout(300)
def test_posts_are_delivered_after_a_broker_outage(
    slow_stack: LiveStack, author: HttpUser, reader: HttpUser, cache: redis.Redis
) -> None:
    expected: list[str] = []
    waits: list[float] = []

    def post(caption: str) -> None:
        started = time.monotonic()
        expected.insert(0, author.create_post(caption))
        waits.append(time.monotonic() - started)

    author.create_post("warm up the connections")
    slow_stack.freeze("broker")
    post("frozen")
    post("still frozen")
    slow_stack.process("broker").kill()
    post("dead")
    assert max(waits) < 1.5, f"a failed broker must not delay a post by more than 1.5 s: {waits}"
    assert author.feed()[: len(expected)] == expected
    eventually(lambda: all_feeds_have(cache, expected))
    assert_feed(slow_stack, reader, expected)
