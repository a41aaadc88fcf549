"""Posts reach followers through the complete stack, also while a replica or Redis is down."""

from __future__ import annotations

import time

import psycopg

from tests.eventually import eventually
from tests.flows.api_user import ApiUser
from tests.live_stack import LiveStack


def test_posts_reach_followers_by_push_and_pull(live_stack: LiveStack) -> None:
    reader, ordinary, star = ApiUser(live_stack), ApiUser(live_stack), ApiUser(live_stack)
    other_followers = [ApiUser(live_stack) for _ in range(4)]
    for follower in (reader, *other_followers):
        follower.follow(star)  # five followers: the stack's celebrity threshold
    reader.follow(ordinary)
    assert reader.feed() == []
    eventually(lambda: reader.get(f"/users/{star.username}")["is_celebrity"])
    expected: list[str] = []
    for author in (ordinary, star, ordinary, star):
        expected.insert(0, author.create_post())
        assert author.feed(), "own posts appear at once"
    eventually(lambda: reader.feed() == expected, 5)
    assert reader.feed(limit=1) == reader.feed(limit=3) == expected
    assert reader.get(f"/feed/unread-count?since={expected[2]}") == {"count": 2, "capped": False}

    assert ordinary.call("DELETE", f"/posts/{expected[1]}").status_code == 204
    del expected[1]
    assert reader.feed() == expected
    assert reader.call("DELETE", f"/users/{star.username}/follow").status_code == 204
    assert reader.feed() == expected[-1:], "only the ordinary author's first post is left"
    reader.follow(star)
    assert reader.feed() == expected


def test_writers_read_their_own_writes_while_the_replica_lags(live_stack: LiveStack) -> None:
    writer, reader = ApiUser(live_stack), ApiUser(live_stack)
    first = writer.create_post()
    eventually(lambda: reader.posts_of(writer) == [first] and writer.posts_of(writer) == [first])
    for _ in range(6):  # until each process has seen that the replica is up to date
        time.sleep(0.5)
        reader.posts_of(writer)
    with psycopg.connect(live_stack.environment["DATABASE_REPLICA_URLS"], autocommit=True) as replica:
        replica.execute("SELECT pg_wal_replay_pause()")
        try:
            second = writer.create_post()
            assert writer.posts_of(writer) == [second, first]
            assert reader.posts_of(writer) == [first], "this read uses the replica"
        finally:
            replica.execute("SELECT pg_wal_replay_resume()")
    eventually(lambda: reader.posts_of(writer) == [second, first])


def test_reads_continue_without_the_replica(live_stack: LiveStack) -> None:
    writer, reader = ApiUser(live_stack), ApiUser(live_stack)
    first = writer.create_post()
    eventually(lambda: reader.posts_of(writer) == [first])
    live_stack.process("replica").kill()
    second = writer.create_post()
    for _ in range(10):
        assert writer.posts_of(writer) == [second, first]
        assert reader.posts_of(writer)[-1] == first
    eventually(lambda: live_stack.alive("replica"), 30)
    eventually(lambda: reader.posts_of(writer) == [second, first], 30)


def test_redis_crash_does_not_change_feeds(live_stack: LiveStack) -> None:
    author, reader = ApiUser(live_stack), ApiUser(live_stack)
    reader.follow(author)
    expected = [author.create_post() for _ in range(3)][::-1]
    eventually(lambda: reader.feed() == expected)
    live_stack.process("cache").kill()
    assert reader.feed() == expected
    expected.insert(0, author.create_post("while Redis is down"))
    assert author.feed() == expected
    eventually(lambda: live_stack.alive("cache"), 30)
    assert reader.feed(limit=2) == expected
    expected.insert(0, author.create_post("after the crash"))
    eventually(lambda: reader.feed() == expected, 30)
