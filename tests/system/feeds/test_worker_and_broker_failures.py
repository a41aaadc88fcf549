"""Workers and the broker fail during a fan-out: every post still reaches every follower once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from instafeed.core.cache import keys
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.imported_follows import import_follows, register_author
from tests.support.live_stack import LiveStack

FOLLOWERS = 600  # of the author, all with cached feeds
SLOW = {"FAN_OUT_RATE_LIMIT": "5", "FAN_OUT_BATCH_SIZE": "5"}  # 2 minutes: longer than a busy machine delays a kill
_PUSH = "from accounts.models import User; User.objects.filter(pk={}).update(celebrity_pin=False)"

pytestmark = [pytest.mark.restarts_a_program, pytest.mark.kills_a_part]


@pytest.fixture(scope="module")
def author(live_stack: LiveStack) -> HttpUser:
    """An author with FOLLOWERS imported followers, to whom posts are pushed."""
    author = register_author(live_stack)
    live_stack.manage("shell", "-c", _PUSH.format(author.id))
    import_follows(author, live_stack, followers=FOLLOWERS)
    live_stack.manage("backfill_feeds", "--user", author.username, *(f"u{number}" for number in range(FOLLOWERS)))
    return author


@pytest.fixture(scope="module")
def reader(live_stack: LiveStack, author: HttpUser) -> HttpUser:
    """The last follower in fan-out order, because its user id is the highest."""
    reader = HttpUser(live_stack)
    reader.follow(author)
    assert reader.feed() == []
    return reader


@pytest.fixture(scope="module")
def cache(live_stack: LiveStack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(live_stack.environment["REDIS_URL"]) as cache:
        yield cache


def count_feeds_with(cache: redis.Redis, post_id: str) -> int:
    """Count the cached feeds that contain the post."""
    pipe = cache.pipeline(transaction=False)
    for key in cache.scan_iter(keys.pattern("feed"), count=1_000):
        pipe.lpos(key, post_id)
    return sum(position is not None for position in pipe.execute())


def all_feeds_have(cache: redis.Redis, post_ids: list[str]) -> bool:
    return all(count_feeds_with(cache, post_id) >= FOLLOWERS + 2 for post_id in post_ids)


def assert_feed(stack: LiveStack, reader: HttpUser, expected: list[str]) -> None:
    assert reader.feed(limit=2)[: len(expected)] == expected
    assert len(set(reader.feed())) == len(reader.feed())
    stack.manage("verify_feeds")


def test_killed_worker_loses_no_delivery(
    live_stack: LiveStack, author: HttpUser, reader: HttpUser, cache: redis.Redis
) -> None:
    with live_stack.restarted("worker", **SLOW), live_stack.restarted("worker-fan-out", **SLOW):
        post_id = author.create_post("kill the worker")
        eventually(lambda: count_feeds_with(cache, post_id) > 1)
        live_stack.kill("worker")
        live_stack.kill("worker-fan-out")
        assert count_feeds_with(cache, post_id) < FOLLOWERS, "the fan-out was over before the kill"
    eventually(lambda: all_feeds_have(cache, [post_id]))
    assert_feed(live_stack, reader, [post_id])


def test_posts_are_delivered_after_a_broker_outage(
    live_stack: LiveStack, author: HttpUser, reader: HttpUser, cache: redis.Redis
) -> None:
    expected: list[str] = []

    def post(caption: str) -> None:
        """The request returns although the broker does not."""
        expected.insert(0, author.create_post(caption))

    with live_stack.paused("broker"):
        post("frozen")
        post("still frozen")
        live_stack.kill("broker")
    post("dead")
    assert author.feed()[: len(expected)] == expected
    eventually(lambda: all_feeds_have(cache, expected))
    assert_feed(live_stack, reader, expected)
