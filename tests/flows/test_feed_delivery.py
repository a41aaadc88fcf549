"""A post reaches its followers through everything that is real."""

from __future__ import annotations

import time

import psycopg

from tests.flows.api_user import ApiUser, eventually
from tests.live_stack import LiveStack


def test_a_post_reaches_followers_pushed_and_pulled(live_stack: LiveStack) -> None:
    reader, ordinary, star = ApiUser(live_stack), ApiUser(live_stack), ApiUser(live_stack)
    crowd = [ApiUser(live_stack) for _ in range(4)]
    for follower in (reader, *crowd):
        follower.follow(star)  # the fifth makes a celebrity of it: the stack's threshold is 5
    reader.follow(ordinary)
    assert reader.feed() == []
    eventually(lambda: reader.get(f"/users/{star.username}")["is_celebrity"])
    expected: list[str] = []
    for author in (ordinary, star, ordinary, star):
        expected.insert(0, author.write())
        assert author.feed(), "an own post is there at once"
    eventually(lambda: reader.feed() == expected, 5)
    assert reader.feed(limit=1) == reader.feed(limit=3) == expected
    assert reader.get(f"/feed/unread-count?since={expected[2]}") == {"count": 2, "capped": False}

    assert ordinary.call("DELETE", f"/posts/{expected[1]}").status_code == 204
    del expected[1]
    assert reader.feed() == expected
    assert reader.call("DELETE", f"/users/{star.username}/follow").status_code == 204
    assert reader.feed() == expected[-1:], "the ordinary author's first"
    reader.follow(star)
    assert reader.feed() == expected


def test_a_writer_reads_its_own_write_while_others_still_read_the_lagging_replica(live_stack: LiveStack) -> None:
    writer, reader = ApiUser(live_stack), ApiUser(live_stack)
    first = writer.write()
    eventually(lambda: reader.posts_of(writer) == [first] and writer.posts_of(writer) == [first])
    for _ in range(6):  # until each process has proved that the replica holds all of that
        time.sleep(0.5)
        reader.posts_of(writer)
    with psycopg.connect(live_stack.environment["DATABASE_REPLICA_URLS"], autocommit=True) as replica:
        replica.execute("SELECT pg_wal_replay_pause()")
        try:
            second = writer.write()
            assert writer.posts_of(writer) == [second, first]
            assert reader.posts_of(writer) == [first], "this read went to the replica"
        finally:
            replica.execute("SELECT pg_wal_replay_resume()")
    eventually(lambda: reader.posts_of(writer) == [second, first])


def test_with_the_replica_dead_reads_go_on(live_stack: LiveStack) -> None:
    writer, reader = ApiUser(live_stack), ApiUser(live_stack)
    first = writer.write()
    eventually(lambda: reader.posts_of(writer) == [first])
    live_stack.process("replica").kill()
    second = writer.write()
    for _ in range(10):
        assert writer.posts_of(writer) == [second, first]
        assert reader.posts_of(writer)[-1] == first
    eventually(lambda: live_stack.alive("replica"), 30)
    eventually(lambda: reader.posts_of(writer) == [second, first], 30)


def test_a_cache_that_dies_changes_no_answer(live_stack: LiveStack) -> None:
    author, reader = ApiUser(live_stack), ApiUser(live_stack)
    reader.follow(author)
    expected = [author.write() for _ in range(3)][::-1]
    eventually(lambda: reader.feed() == expected)
    live_stack.process("cache").kill()
    assert reader.feed() == expected
    expected.insert(0, author.write("while it is away"))
    assert author.feed() == expected
    eventually(lambda: live_stack.alive("cache"), 30)
    assert reader.feed(limit=2) == expected
    expected.insert(0, author.write("after the crash"))
    eventually(lambda: reader.feed() == expected, 30)
