"""Measure stalls of Redis: a client in another process sends PINGs and records each round trip."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import redis

from benchmarks.child_process import ChildProcess

PING_INTERVAL = 0.0005  # seconds between PINGs: short enough to overlap every Lua call, and hardly any load


class Pinger:
    """Collect round trips in milliseconds by the name of the activity meanwhile."""

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self.round_trips: dict[str, list[float]] = {}

    @contextmanager
    def during(self, activity: str) -> Iterator[None]:
        self._child.send("begin")
        try:
            yield
        finally:
            self._child.send("end")
            self.round_trips.setdefault(activity, []).extend(self._child.receive())


def serve(pipe: Connection, url: str) -> None:
    """For `ChildProcess`: PING from "begin" to "end", then send the round trips."""
    with redis.Redis.from_url(url) as client:
        client.ping()
        while pipe.recv() == "begin":
            round_trips = []
            while not pipe.poll():
                started = time.perf_counter()
                client.ping()
                round_trips.append((time.perf_counter() - started) * 1000)
                time.sleep(PING_INTERVAL)
            pipe.recv()
            pipe.send(round_trips)
