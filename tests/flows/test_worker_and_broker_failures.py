"""Workers and brokers die in the middle of things: every post still reaches everybody, exactly once, soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from instafeed.core.cache import keys
from tests.flows.api_user import ApiUser, eventually
from tests.live_stack import LiveStack

CROWD = 600  # followers of the author, all with warm feeds
WITHIN = 60  # seconds


@pytest.fixture(scope="module")
def slow_stack() -> Iterator[LiveStack]:
    """Deliveries are so slow that there is a middle of a fan-out to kill a worker in."""
    stack = LiveStack(
        None, "--web-workers", "1", "--celery-workers", "2", FAN_OUT_RATE_LIMIT="150", FAN_OUT_BATCH_SIZE="25"
    )
    try:
        yield stack.start()
    finally:
        stack.close()


@pytest.fixture(scope="module")
def author(slow_stack: LiveStack, tmp_path_factory: pytest.TempPathFactory) -> ApiUser:
    """Followed by a crowd and by the reader."""
    author = ApiUser(slow_stack, "u5000000")
    edges: Path = tmp_path_factory.mktemp("crowd") / "edges.tsv"
    edges.write_text("".join(f"{number}\t5000000\n" for number in range(CROWD)))
    for command in (["import_follows", str(edges)], ["backfill_feeds", "--all"]):
        done = slow_stack.manage(*command)
        assert done.returncode == 0, done.stderr
    return author


@pytest.fixture(scope="module")
def reader(slow_stack: LiveStack, author: ApiUser) -> ApiUser:
    """Comes last in every audience: its user id is the highest."""
    reader = ApiUser(slow_stack)
    reader.follow(author)
    assert reader.feed() == []
    return reader


@pytest.fixture(scope="module")
def cache(slow_stack: LiveStack) -> redis.Redis:
    return redis.Redis.from_url(slow_stack.environment["REDIS_URL"])


def holding(cache: redis.Redis, post_id: str) -> int:
    """How many warm feeds hold the post."""
    pipe = cache.pipeline(transaction=False)
    for key in cache.scan_iter(f"{keys.HOME_TIMELINE_PREFIX}*", count=1_000):
        pipe.lpos(key, post_id)
    return sum(position is not None for position in pipe.execute())


def everybody_has(cache: redis.Redis, post_ids: list[str]) -> bool:
    return all(holding(cache, post_id) >= CROWD + 2 for post_id in post_ids)


def check(stack: LiveStack, reader: ApiUser, expected: list[str]) -> None:
    assert reader.feed(limit=2)[: len(expected)] == expected
    assert len(set(reader.feed())) == len(reader.feed())
    verified = stack.manage("verify_feeds")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.timeout(300)
def test_a_worker_killed_in_mid_fan_out_loses_nobody(
    slow_stack: LiveStack, author: ApiUser, reader: ApiUser, cache: redis.Redis
) -> None:
    post_id = author.write("kill the worker")
    eventually(lambda: holding(cache, post_id) > 0, WITHIN)
    for process in slow_stack.tree("worker"):
        process.kill()
    served = holding(cache, post_id)
    assert served < CROWD, "the fan-out was over before the kill"
    eventually(lambda: everybody_has(cache, [post_id]), WITHIN)
    check(slow_stack, reader, [post_id])


@pytest.mark.timeout(300)
def test_posts_made_while_the_broker_is_frozen_or_dead_are_answered_and_reach_everybody(
    slow_stack: LiveStack, author: ApiUser, reader: ApiUser, cache: redis.Redis
) -> None:
    expected: list[str] = []
    waits: list[float] = []

    def write(caption: str) -> None:
        started = time.monotonic()
        expected.insert(0, author.write(caption))
        waits.append(time.monotonic() - started)

    author.write("warm up the connections")
    slow_stack.freeze("broker")
    write("frozen")
    write("still frozen")
    slow_stack.process("broker").kill()
    write("dead")
    assert max(waits) < 1.5, f"the broker may cost a second, not more: {waits}"
    assert author.feed()[: len(expected)] == expected
    eventually(lambda: everybody_has(cache, expected), WITHIN)
    check(slow_stack, reader, expected)
