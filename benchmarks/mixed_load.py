"""A closed loop of mixed requests by a few clients: reads, posts, likes, comments, follows."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from random import Random
from threading import Thread

from benchmarks.http_client import HttpConnection, get, post, request

SECONDS_AFTER_LOST_CONNECTION = 0.2


@dataclass(frozen=True)
class Caller:
    username: str
    token: str


@dataclass(frozen=True)
class MixedLoad:
    callers: Sequence[Caller]
    seconds: float
    clients: int


@dataclass
class Tally:
    requests: int = 0
    unavailable: int = 0  # 503, or the connection was lost
    errors: int = 0  # any other 5xx

    def add(self, other: Tally) -> None:
        self.requests += other.requests
        self.unavailable += other.unavailable
        self.errors += other.errors


def serve(pipe: Pipe, port: int) -> None:
    """For `ChildProcess`: runs every load it is sent."""
    while True:
        load: MixedLoad = pipe.recv()
        clients = [_Client(port, load.callers, Random(number)) for number in range(load.clients)]
        threads = [Thread(target=client.run, args=(load.seconds,)) for client in clients]
        for thread in threads:
            thread.start()
        total = Tally()
        for thread, client in zip(threads, clients, strict=True):
            thread.join()
            total.add(client.tally)
        pipe.send(total)


class _Client:
    def __init__(self, port: int, callers: Sequence[Caller], rng: Random) -> None:
        self._port, self._callers, self._rng = port, callers, rng
        self._connection: HttpConnection | None = None
        self._seen: list[str] = []  # posts
        self.tally = Tally()

    def run(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            caller = self._rng.choice(self._callers)
            self._call(*self._choose(caller))

    def _choose(self, caller: Caller) -> tuple[bytes, bool]:
        """Return a request, and whether its response is a page of posts."""
        chance, token = self._rng.random(), caller.token
        other = self._rng.choice(self._callers).username
        seen = self._rng.choice(self._seen) if self._seen else None
        if chance < 0.1:
            return request("POST", "/api/v1/posts", token, {"caption": "soaking #wet"}), False
        if seen and chance < 0.25:
            return post(f"/api/v1/posts/{seen}/like", token), False
        if seen and chance < 0.35:
            return request("POST", f"/api/v1/posts/{seen}/comments", token, {"text": "so wet"}), False
        if chance < 0.4:
            return post(f"/api/v1/users/{other}/follow", token), False
        if chance < 0.5:
            return get("/api/v1/notifications", token), False
        if chance < 0.6:
            return get(f"/api/v1/users/{other}", token), False
        return get("/api/v1/feed", token), True

    def _call(self, raw: bytes, is_page: bool) -> None:
        self.tally.requests += 1
        try:
            self._connection = self._connection or HttpConnection(self._port)
            status, body = self._connection.exchange(raw)
        except OSError:
            self._connection = None
            self.tally.unavailable += 1
            time.sleep(SECONDS_AFTER_LOST_CONNECTION)
            return
        if status == 503:
            self.tally.unavailable += 1
            self._connection = None
        elif status >= 500:
            self.tally.errors += 1
        elif is_page and status == 200:
            self._seen = [row["id"] for row in json.loads(body)["results"]] or self._seen
