"""Posts reach followers through the complete stack, also while a replica or Redis is down."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack


@pytest.mark.restarts_a_program
def test_writers_read_their_own_writes_while_the_replica_lags(live_stack: LiveStack) -> None:
    """In one web process: another one may not have seen yet that the replica was up to date before.

    It reads the replica however long the replica lags, and again after a read that took too long.
    """
    writer, reader = HttpUser(live_stack), HttpUser(live_stack)
    first = writer.create_post()

    def reads_the_replica() -> bool:
        before = live_stack.metric("instafeed_reads_total", target="replica")
        assert reader.posts_of(writer)
        return live_stack.metric("instafeed_reads_total", target="replica") > before

    with live_stack.restarted("web", WEB_WORKERS="1", REPLICA_MAX_LAG="600"):
        eventually(reads_the_replica)  # the web process has seen that the replica is up to date
        with psycopg.connect(live_stack.environment["DATABASE_REPLICA_URLS"], autocommit=True) as replica:
            replica.execute("SELECT pg_wal_replay_pause()")
            try:
                second = writer.create_post()
                assert writer.posts_of(writer) == [second, first]
                eventually(lambda: reader.posts_of(writer) == [first])  # this read uses the replica
                assert writer.posts_of(writer) == [second, first]
            finally:
                replica.execute("SELECT pg_wal_replay_resume()")
        eventually(lambda: reader.posts_of(writer) == [second, first])


@pytest.mark.kills_a_part
def test_reads_continue_without_the_replica(live_stack: LiveStack) -> None:
    writer, reader = HttpUser(live_stack), HttpUser(live_stack)
    first = writer.create_post()
    eventually(lambda: reader.posts_of(writer) == [first])
    live_stack.kill("replica")
    second = writer.create_post()
    for _ in range(10):
        assert writer.posts_of(writer) == [second, first]
        assert reader.posts_of(writer)[-1] == first
    eventually(lambda: live_stack.is_running("replica"))
    eventually(lambda: reader.posts_of(writer) == [second, first])


@pytest.mark.kills_a_part
def test_redis_crash_does_not_change_feeds(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    expected = [author.create_post() for _ in range(3)][::-1]
    eventually(lambda: reader.feed() == expected)
    live_stack.kill("cache")
    assert reader.feed() == expected
    expected.insert(0, author.create_post("while Redis is down"))
    assert author.feed() == expected
    eventually(lambda: live_stack.is_running("cache"))
    assert reader.feed(limit=2) == expected
    expected.insert(0, author.create_post("after the crash"))
    eventually(lambda: reader.feed() == expected)
