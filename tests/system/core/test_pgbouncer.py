"""The whole system behind PgBouncer in transaction mode, whose pools are smaller than the site's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from instafeed.devstack.data_services import DataServices
from tests.support.cache import patient_url
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.pgbouncer import EXECUTABLE, PgBouncer
from tests.support.processes import manage
from tests.support.programs import needs
from tests.system.conftest import NewDirectory

pytestmark = needs(EXECUTABLE, "pgbouncer")

POOL_SIZE = 3  # sessions for the API servers, and as many for workers and commands
LIKES = 40
TIMEOUT = 60  # seconds


@pytest.fixture(scope="module")
def pgbouncer(data_services: DataServices, new_directory: NewDirectory) -> Iterator[PgBouncer]:
    directory = new_directory()
    directory.chmod(0o755)
    bouncer = PgBouncer(directory, data_services.primary, default_pool_size=POOL_SIZE)
    bouncer.start()
    try:
        yield bouncer
    finally:
        bouncer.stop()


@pytest.fixture(scope="module")
def stack(data_services: DataServices, pgbouncer: PgBouncer) -> Iterator[LiveStack]:
    direct = data_services.primary.url()
    cache = patient_url(data_services.environment["REDIS_URL"])  # without it, pages need SQL for a second
    stack = LiveStack(data_services, DATABASE_URL=pgbouncer.url(), DATABASE_DIRECT_URL=direct, REDIS_URL=cache)
    web = stack.part("web")
    web.environment = dict(web.environment or {}) | {"DATABASE_URL": pgbouncer.url("instafeed_web")}
    with stack:
        yield stack


@contextmanager
def locked_user(services: DataServices, username: str) -> Iterator[psycopg.Connection]:
    """Hold the lock of a user's row, as a transaction does that never ends."""
    with psycopg.connect(services.primary.url()) as connection:
        connection.execute("SELECT 1 FROM accounts_user WHERE username = %s FOR UPDATE", [username])
        yield connection
        connection.rollback()


def test_the_site_works(stack: LiveStack) -> None:
    author, reader = HttpUser(stack), HttpUser(stack)
    reader.follow(author)
    assert reader.feed() == []
    post_id = author.create_post("#pooled for you")
    eventually(lambda: reader.feed() == [post_id])  # a worker has delivered it
    assert reader.call("POST", f"/posts/{post_id}/like").status_code == 200
    assert reader.get(f"/posts/{post_id}")["like_count"] == 1
    eventually(lambda: author.get("/notifications")["results"])
    eventually(lambda: stack.get("/health").json()["status"] == "ok")
    stack.manage("verify_feeds")


def test_more_clients_than_sessions(stack: LiveStack, pgbouncer: PgBouncer) -> None:
    author = HttpUser(stack)
    post_id = author.create_post()
    likers = [HttpUser(stack) for _ in range(LIKES)]

    def like(user: HttpUser) -> int:
        url = f"{stack.base_url}/api/v1/posts/{post_id}/like"
        return client.post(url, headers=user.headers).status_code

    # One client for all: each needs CPU time for its TLS settings, and the requests would come one after another.
    with httpx.Client(timeout=TIMEOUT, trust_env=False) as client, ThreadPoolExecutor(LIKES) as threads:
        assert set(threads.map(like, likers)) == {200}
    assert author.get(f"/posts/{post_id}")["like_count"] == LIKES
    pools = {row["name"]: row for row in pgbouncer.administer("SHOW DATABASES")}
    assert pools["instafeed_web"]["current_connections"] <= POOL_SIZE
    clients = [row for row in pgbouncer.administer("SHOW CLIENTS") if row["database"] == "instafeed_web"]
    assert len(clients) > POOL_SIZE


def test_the_server_ends_a_slow_statement_of_the_site(stack: LiveStack, pgbouncer: PgBouncer) -> None:
    author = HttpUser(stack)
    with locked_user(stack.services, author.username):
        started = time.monotonic()
        assert author.call("POST", "/posts", json={"caption": "late"}, timeout=TIMEOUT).status_code == 503
        assert time.monotonic() - started < TIMEOUT
        ports = [
            row["local_port"] for row in pgbouncer.administer("SHOW SERVERS") if row["database"] == "instafeed_web"
        ]
        query = "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND client_port = ANY(%s)"
        with stack.services.primary.connect() as connection:
            eventually(lambda: connection.execute(query, [ports]).fetchall() == [])
    # If the web process noticed the end too late, it asks the primary first whether it works.
    eventually(lambda: author.call("POST", "/posts", json={"caption": "in time"}).status_code == 201)


def test_workers_and_commands_have_no_limit(pgbouncer: PgBouncer) -> None:
    limits = {}
    for database in ("instafeed", "instafeed_web"):
        with psycopg.connect(pgbouncer.url(database)) as connection:
            limits[database] = connection.execute("SELECT current_setting('statement_timeout')").fetchone()
    assert limits == {"instafeed": ("0",), "instafeed_web": ("5s",)}


def test_migrate_uses_a_session_of_its_own(stack: LiveStack, data_services: DataServices, pgbouncer: PgBouncer) -> None:
    """Its lock excludes a second one, and no setting of it reaches another client."""
    with psycopg.connect(data_services.primary.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('migrate', 0))")
        with ThreadPoolExecutor(1) as thread:
            migrating = thread.submit(manage, "migrate", environment=stack.environment)
            query = "SELECT client_port FROM pg_stat_activity WHERE query LIKE '%%pg_try_advisory_lock%%' AND pid <> %s"
            with data_services.primary.connect() as watching:
                eventually(lambda: watching.execute(query, [watching.info.backend_pid]).fetchall())
                ports = {port for (port,) in watching.execute(query, [watching.info.backend_pid])}
            pooled = {row["local_port"] for row in pgbouncer.administer("SHOW SERVERS")}
            connection.execute("SELECT pg_advisory_unlock(hashtextextended('migrate', 0))")
            result = migrating.result()
    assert result.returncode == 0, result.stderr
    assert not ports & pooled
    assert "Another migrate is running" in result.stdout
    assert "No migrations to apply" in result.stdout
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT current_setting('lock_timeout')").fetchone() == ("0",)


def test_a_frozen_pgbouncer_does_not_hang_the_site(stack: LiveStack, pgbouncer: PgBouncer) -> None:
    author, reader = HttpUser(stack), HttpUser(stack)
    reader.follow(author)
    post_id = author.create_post()
    eventually(lambda: reader.feed() == [post_id])

    def like(_: int) -> int:
        return reader.status_of("POST", f"/posts/{post_id}/like", timeout=TIMEOUT)

    with ThreadPoolExecutor(LIKES) as threads:
        pgbouncer.pause()
        try:
            likes = threads.map(like, range(LIKES))
            assert [stack.get("/health/live").status_code for _ in range(5)] == [200] * 5
            assert set(likes) == {503}
            assert [reader.status_of("GET", "/feed", timeout=TIMEOUT) for _ in range(5)] == [200] * 5, (
                "warm pages need no SQL"
            )
        finally:
            pgbouncer.resume()
        eventually(lambda: set(threads.map(like, range(LIKES))) == {200})  # both processes have connections again
    eventually(lambda: stack.get("/health").json()["status"] == "ok")
