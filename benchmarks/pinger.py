"""Another client of Redis, which feels every stall: it sends PINGs and notes how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import redis

from benchmarks.child_process import ChildProcess

PING_INTERVAL = 0.0005  # seconds between two PINGs: often enough to meet every Lua call, too seldom to be a load


class Pinger:
    """Collects round trips by the name of what went on meanwhile, in milliseconds."""

    def __init__(self, remote: ChildProcess) -> None:
        self._remote = remote
        self.round_trips: dict[str, list[float]] = {}

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        self._remote.send("begin")
        try:
            yield
        finally:
            self._remote.send("end")
            self.round_trips.setdefault(what, []).extend(self._remote.receive())


def serve(pipe: Connection, url: str) -> None:
    """For `ChildProcess`: PING from "begin" to "end", then send the round trips."""
    with redis.Redis.from_url(url) as client:
        client.ping()
        while pipe.recv() == "begin":
            round_trips = []
            while not pipe.poll():
                began = time.perf_counter()
                client.ping()
                round_trips.append((time.perf_counter() - began) * 1000)
                time.sleep(PING_INTERVAL)
            pipe.recv()
            pipe.send(round_trips)
