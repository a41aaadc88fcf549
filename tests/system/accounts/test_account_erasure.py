"""Delete a celebrity's account: it is hidden at once and erased in the background, although workers are killed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
import redis

from tests.support.eventually import eventually
from tests.support.http_user import PASSWORD, HttpUser
from tests.support.imported_follows import import_follows, register_author
from tests.support.live_stack import LiveStack

FOLLOWERS, FOLLOWEES, POSTS = 2_000, 300, 1_000
USER_ID = 918_273_645  # distinctive, so that every mention of it is found

_POSTS = """
WITH made AS (
    INSERT INTO posts_post (author_id, caption)
    SELECT id, 'one of many' FROM accounts_user, generate_series(1, %s) WHERE id = %s
    RETURNING id, author_id
), counted AS (
    UPDATE accounts_user SET post_count = post_count + %s WHERE id = %s
)
INSERT INTO feeds_fanout (post_id, author_id, mode, state, error, due_at)
SELECT id, author_id, 0, 2, '', now() FROM made
"""
_POPULATE = (
    "from accounts.models import User; from tests.support.populated_account import populate_account; "
    "populate_account(User.objects.get(pk={}))"
)
# The erasure skips a locked post, so it cannot end.
_LOCK_LAST_POST = "SELECT FROM posts_post WHERE author_id = %s ORDER BY id DESC LIMIT 1 FOR KEY SHARE"
_ASSERT_COUNTS = "from tests.support.populated_account import assert_counts_are_exact; assert_counts_are_exact()"


@pytest.fixture
def database(live_stack: LiveStack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(live_stack.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def leaver(live_stack: LiveStack, database: psycopg.Connection) -> HttpUser:
    """A celebrity with many followers and posts, and with all data that populate_account() creates."""
    database.execute("SELECT setval('accounts_user_id_seq', %s, false)", [USER_ID])
    leaver = register_author(live_stack)
    assert leaver.id == str(USER_ID)
    import_follows(leaver, live_stack, followers=FOLLOWERS, followees=FOLLOWEES)
    live_stack.manage("shell", "-c", _POPULATE.format(USER_ID))
    live_stack.manage("reclassify_celebrities")
    database.execute(_POSTS, [POSTS, USER_ID, POSTS, USER_ID])
    return leaver


def count_rows(database: psycopg.Connection, table: str, column: str) -> int:
    row = database.execute(f"SELECT count(*) FROM {table} WHERE {column} = %s", [USER_ID]).fetchone()
    assert row is not None
    return int(row[0])


def rows_that_mention(database: psycopg.Connection, *texts: str) -> dict[str, int]:
    """Count the rows that contain any of `texts`, by table. The append-only audit log is left out."""
    tables = database.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'accounts_auditentry'"
    ).fetchall()
    found = {}
    for (table,) in tables:
        query = f"SELECT count(*) FROM {table} AS row WHERE row::text ~ %s"
        (number,) = database.execute(query, ["|".join(rf"\y{text}\y" for text in texts)]).fetchone() or (0,)
        if number:
            found[table] = number
    return found


def no_key_mentions(server: redis.Redis, user_id: str) -> bool:
    """Return whether no key contains the id, in its name or as a member of a set."""
    for raw in server.scan_iter("*", count=1_000):
        if user_id in raw.decode().replace(":", "/").split("/"):
            return False
        if server.type(raw) == b"set" and server.sismember(raw, user_id):
            return False
    return True


@pytest.mark.kills_a_part
def test_account_is_hidden_at_once_and_erased_despite_killed_workers(
    live_stack: LiveStack, database: psycopg.Connection, leaver: HttpUser
) -> None:
    friend = HttpUser(live_stack)
    friend.follow(leaver)
    own, others = leaver.create_post("the last one"), friend.create_post("mine")
    eventually(lambda: friend.feed()[:2] == [others, own])
    for path in (f"/posts/{others}/like", f"/posts/{others}/save"):
        assert leaver.call("POST", path).status_code == 200
    assert leaver.call("POST", f"/posts/{others}/comments", json={"text": "bye"}).status_code == 201
    assert friend.call("POST", f"/posts/{own}/like").status_code == 200
    assert len(leaver.get("/me/export")["posts"]) > POSTS

    with database.transaction():
        database.execute(_LOCK_LAST_POST, [USER_ID])
        response = leaver.call("DELETE", "/me", json={"password": PASSWORD})
        assert (response.status_code, response.content) == (204, b"")
        assert leaver.call("GET", "/me").status_code == 401
        for path in (f"/users/{leaver.username}", f"/posts/{own}"):
            assert friend.call("GET", path).status_code == 404
        assert friend.feed() == [others]
        assert friend.get(f"/posts/{others}/likes")["results"] == []
        assert friend.get(f"/posts/{others}/comments")["results"] == []
        assert friend.get(f"/users/{friend.username}/following")["results"] == []

        eventually(lambda: count_rows(database, "posts_post", "author_id") < POSTS)
        live_stack.kill("worker")

    eventually(lambda: count_rows(database, "accounts_user", "id") == 0)
    eventually(lambda: rows_that_mention(database, leaver.id, f"{leaver.username}@example.com") == {})
    for url in ("REDIS_URL", "CELERY_BROKER_URL"):
        with redis.Redis.from_url(live_stack.environment[url]) as server:
            eventually(partial(no_key_mentions, server, leaver.id))
    live_stack.manage("shell", "-c", _ASSERT_COUNTS)
    post = friend.get(f"/posts/{others}")
    assert (post["like_count"], post["comment_count"]) == (0, 0)
    assert friend.get(f"/users/{friend.username}")["following_count"] == 0
    live_stack.manage("verify_feeds")
