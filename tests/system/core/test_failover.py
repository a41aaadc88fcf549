"""The replica is promoted and takes over the primary's address: the site follows without a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from instafeed.devstack.data_services import DataServices
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services
from tests.support.tcp_forwarder import TcpForwarder

FOLLOW_TIMEOUT = 30  # seconds; the site needs at most ten, if the machine is not busy with other tests


@pytest.fixture
def services() -> Iterator[DataServices]:
    with prebuilt_services() as services:
        yield services


@pytest.mark.parametrize("fault", ["stopped", "frozen", "answers"])
def test_the_site_follows_a_promoted_replica(services: DataServices, fault: str) -> None:
    primary, replica = services.primary, services.replica
    with TcpForwarder(primary.port) as address:
        url = primary.url().replace(f":{primary.port}/", f":{address.port}/")
        with LiveStack(services, DATABASE_URL=url) as stack:
            author, reader = HttpUser(stack), HttpUser(stack)
            reader.follow(author)
            first = author.create_post()
            eventually(lambda: reader.feed() == [first])
            with primary.connect() as connection:
                row = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
            assert row is not None
            eventually(lambda: _has_replayed(services, row[0]))
            if fault == "stopped":
                stack.kill("primary")  # its restart, on its own address, changes nothing
            elif fault == "frozen":
                primary.pause()
            with replica.connect() as connection:
                connection.execute("SELECT pg_promote()")
            address.redirect(replica.port)
            if fault == "frozen":
                address.drop_connections()
            moved_at = time.monotonic()
            posts: list[str] = []
            eventually(lambda: _create_post(author, posts) and _is_done(services, posts[-1]))
            # Some connections of a web process may lead to the old primary for some seconds more, if it answers.
            eventually(lambda: reader.feed()[:1] == [posts[-1]])
            assert time.monotonic() - moved_at < FOLLOW_TIMEOUT
            eventually(lambda: stack.metric("instafeed_up", part="primary") == 1)
            primary.resume()


def test_the_web_follows_while_its_connections_to_a_frozen_primary_stay(services: DataServices) -> None:
    """As after a change in the DNS. All connections of a pool lead to the frozen server."""
    primary, replica = services.primary, services.replica
    with TcpForwarder(primary.port) as address:
        url = primary.url().replace(f":{primary.port}/", f":{address.port}/")
        with LiveStack(services, web_workers=1, DATABASE_URL=url) as stack:
            author, posts = HttpUser(stack), list[str]()
            with ThreadPoolExecutor(20) as threads:  # fill the pool
                assert all(threads.map(lambda _: _create_post(author, []), range(60)))
            primary.pause()
            with replica.connect() as connection:
                eventually(lambda: connection.execute("SELECT pg_promote()").fetchone())
            address.redirect(replica.port)
            moved_at = time.monotonic()
            eventually(lambda: _create_post(author, posts))
            assert time.monotonic() - moved_at < FOLLOW_TIMEOUT
            assert [_create_post(author, posts) for _ in range(5)] == [True] * 5
            primary.resume()


def _has_replayed(services: DataServices, lsn: str) -> bool:
    with services.replica.connect() as connection:
        return connection.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [lsn]).fetchone() == (True,)


def _create_post(author: HttpUser, posts: list[str]) -> bool:
    """Try to post, and return whether it worked."""
    response = author.call("POST", "/posts", json={"caption": "after the failover"})
    if response.status_code == 201:
        posts.append(str(response.json()["id"]))
    return response.status_code == 201


def _is_done(services: DataServices, post_id: str) -> bool:
    """Wait a second until a worker has delivered the post on the new primary."""
    query = "SELECT state = 2 FROM feeds_fanout WHERE post_id = %s"
    with services.replica.connect(services.replica.url()) as connection:
        for _ in range(20):
            if connection.execute(query, [post_id]).fetchone() == (True,):
                return True
            connection.execute("SELECT pg_sleep(0.05)")
    return False
