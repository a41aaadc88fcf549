"""A running system on a Redis Cluster of three servers, of which some are killed, frozen or emptied under load.

No reader sees a post twice, a post of a stranger, or an error, and in the end all posts are there. A post that was
shown does not vanish again, unless a server was frozen: its timelines lack the posts of that time until it is emptied.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services

READERS = 9
SERVERS = ("cache-1", "cache-2", "cache-3")


@pytest.fixture(scope="module")
def cluster_stack() -> Iterator[LiveStack]:
    with prebuilt_services(redis_nodes=3) as services, LiveStack(services, CELEBRITY_THRESHOLD="5") as stack:
        yield stack


class Network:
    """An ordinary author whom a third of the readers follow, and a celebrity whom all of them follow."""

    def __init__(self, stack: LiveStack) -> None:
        self.stack = stack
        self.author, self.celebrity = HttpUser(stack), HttpUser(stack)
        self.readers = [HttpUser(stack) for _ in range(READERS)]
        for reader in self.readers:
            reader.follow(self.celebrity)
        self.fans = self.readers[:3]
        for fan in self.fans:
            fan.follow(self.author)
        self.pushed: list[str] = []
        self.pulled: list[str] = []
        eventually(lambda: self.author.get(f"/users/{self.celebrity.username}")["is_celebrity"])

    def move(self, stack: LiveStack) -> None:
        """Use another stack on the same database."""
        self.stack = stack
        for user in (self.author, self.celebrity, *self.readers):
            user.stack = stack

    def post(self) -> None:
        self.pushed.append(self.author.create_post())
        self.pulled.append(self.celebrity.create_post())

    def expected(self, reader: HttpUser) -> list[str]:
        post_ids = self.pulled + (self.pushed if reader in self.fans else [])
        return sorted(post_ids, key=int, reverse=True)

    def is_complete(self) -> bool:
        return all(reader.feed(limit=7) == self.expected(reader) for reader in self.readers)


@pytest.fixture(scope="module")
def network(cluster_stack: LiveStack) -> Network:
    network = Network(cluster_stack)
    network.post()
    eventually(network.is_complete)
    return network


@contextmanager
def watched(network: Network, *, may_be_late: bool) -> Iterator[None]:
    """Read feeds meanwhile, and fail if one is wrong."""
    faults: list[str] = []
    ends = threading.Event()
    seen: dict[int, set[str]] = {reader.id: set(network.expected(reader)) for reader in network.readers}

    def watch() -> None:
        for reader in itertools.cycle(network.readers):
            if ends.is_set():
                return
            feed = reader.feed()
            if len(set(feed)) < len(feed):
                faults.append(f"twice: {feed}")
            if not may_be_late and (missing := seen[reader.id] - set(feed)):
                faults.append(f"{reader.username} misses {missing}")
            seen[reader.id] |= set(feed)

    def guarded() -> None:
        try:
            watch()
        except Exception as error:
            faults.append(repr(error))

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
    assert not faults
    for reader in network.readers:
        assert seen[reader.id] <= set(network.expected(reader)), "no post of a stranger"


def kill(network: Network, name: str) -> None:
    network.stack.kill(name)
    network.post()


def freeze(network: Network, name: str) -> None:
    with network.stack.paused(name):
        for _ in range(3):
            network.post()


@pytest.mark.parametrize("fault", [kill, freeze])
def test_no_reader_misses_a_post(network: Network, fault: Callable[[Network, str], None]) -> None:
    with watched(network, may_be_late=fault is freeze):
        for name in SERVERS:
            fault(network, name)
            eventually(network.is_complete)
    eventually(lambda: network.stack.get("/health").json()["status"] == "ok")
    network.stack.manage("verify_feeds")


def test_health_names_the_server_that_is_down(network: Network) -> None:
    stack = network.stack
    assert len(stack.get("/health").json()["checks"]["cache"]["servers"]) == len(SERVERS)
    with stack.paused("cache-2"):
        eventually(lambda: stack.get("/health").json()["checks"]["cache"]["status"] == "down")
        report = stack.get("/health").json()
        assert report["status"] == "degraded"
        assert sorted(server["status"] for server in report["checks"]["cache"]["servers"]) == ["down", "ok", "ok"]
        assert network.is_complete(), "its viewers' feeds come from PostgreSQL"
    eventually(lambda: stack.get("/health").json()["status"] == "ok")
