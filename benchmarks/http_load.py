"""Generate HTTP load from child processes: keep-alive connections over raw sockets, cheap per request.

The client shares the machine's cores with the server, so it parses only what it needs: status, length, and the
number of posts.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing.connection import Connection as Pipe
from threading import Thread
from typing import Any

from benchmarks.child_process import ChildProcess
from benchmarks.results import BenchmarkError

HOST = "127.0.0.1"
POST_MARKER = b'"caption":'  # once in every post
_MAX_CONNECT_ATTEMPTS = 500


@dataclass(frozen=True)
class Job:
    """Requests to repeat for `seconds`, or to send once each if that is 0."""

    requests: Sequence[bytes]
    seconds: float
    posts: int  # expected in every response


@dataclass
class Outcome:
    """Latencies in milliseconds, requests per second, responses that were not 200, and pages that were not full."""

    latencies: list[float] = field(default_factory=list)
    rate: float = 0.0
    errors: int = 0
    short: int = 0

    def add(self, other: Outcome) -> None:
        """Add the outcome of a connection that ran at the same time."""
        self.latencies += other.latencies
        self.rate += other.rate
        self.errors += other.errors
        self.short += other.short


class HttpConnection:
    """A keep-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request. Return status and body of the response, which must have a Content-Length."""
        self.socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = data[:end].lower()
        _, found, rest = head.partition(b"content-length: ")
        if not found:
            raise ConnectionError("a response without Content-Length")
        missing = end + 4 + int(rest.partition(b"\r\n")[0]) - len(data)
        parts = [data[end + 4 :]]
        while missing > 0:
            parts.append(self._receive())
            missing -= len(parts[-1])
        return int(head[9:12]), b"".join(parts)

    def close(self) -> None:
        self.socket.close()

    def _receive(self) -> bytes:
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def get(path: str, token: str = "") -> bytes:
    """Return the bytes of a GET request."""
    return _request("GET", path, token)


def post(path: str, token: str) -> bytes:
    """Return the bytes of a POST request without a body."""
    return _request("POST", path, token, "Content-Length: 0\r\n")


def request(method: str, path: str, token: str, body: Any) -> bytes:
    """Return the bytes of a request with a JSON body."""
    content = json.dumps(body).encode()
    return (
        _request(method, path, token, f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n") + content
    )


def _request(method: str, path: str, token: str, headers: str = "") -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}{headers}\r\n".encode()


def run(clients: Sequence[ChildProcess], job: Job) -> Outcome:
    """The job, shared by all clients at once: each sends its part of the requests."""
    for number, client in enumerate(clients):
        client.send(Job(job.requests[number :: len(clients)], job.seconds, job.posts))
    outcome = Outcome()
    for client in clients:
        outcome.add(client.receive())
    return outcome


_PROCESS_REQUEST = get("/yardstick/worker")


def connect_evenly(port: int, count: int, processes: int) -> list[HttpConnection]:
    """Return `count` connections, evenly spread over the processes of a server with the URLs of `benchmarks.urls`.

    A connection stays with the process that accepted it, and chance would give one of them more than another.
    """
    found: dict[bytes, list[HttpConnection]] = {}
    for _ in range(_MAX_CONNECT_ATTEMPTS):
        connection = HttpConnection(port)
        _, process = connection.exchange(_PROCESS_REQUEST)
        share = found.setdefault(process, [])
        if len(share) < math.ceil(count / processes):
            share.append(connection)
        else:
            connection.close()
        if sum(map(len, found.values())) >= count:
            return [connection for share in found.values() for connection in share]
    raise BenchmarkError("not every process of the server accepts connections")


def serve(pipe: Pipe, port: int, connections: int, processes: int) -> None:
    """For `ChildProcess`: runs every job it is sent, with one thread for each connection."""
    clients = connect_evenly(port, connections, processes)
    while True:
        job: Job = pipe.recv()
        outcomes = [Outcome() for _ in clients]
        threads = [
            Thread(target=_work, args=(connection, job, job.requests[number :: len(clients)], outcome))
            for number, (connection, outcome) in enumerate(zip(clients, outcomes, strict=True))
        ]
        for thread in threads:
            thread.start()
        total = Outcome()
        for thread, outcome in zip(threads, outcomes, strict=True):
            thread.join()
            total.add(outcome)
        pipe.send(total)


def _work(connection: HttpConnection, job: Job, requests: Sequence[bytes], outcome: Outcome) -> None:
    """A connection that fails counts as one error and ends; what it did until then counts too."""
    started = time.perf_counter()
    try:
        for request in _stream(requests, started + job.seconds if job.seconds else None):
            sent = time.perf_counter()
            status, body = connection.exchange(request)
            outcome.latencies.append((time.perf_counter() - sent) * 1000)
            outcome.errors += status != 200
            outcome.short += body.count(POST_MARKER) != job.posts
    except OSError:
        outcome.errors += 1
    outcome.rate = len(outcome.latencies) / (time.perf_counter() - started)


def _stream(
    requests: Sequence[bytes], until: float | None, clock: Callable[[], float] = time.perf_counter
) -> Iterable[bytes]:
    if until is None:
        yield from requests
        return
    for request in islice(cycle(requests), 10**9):
        if clock() >= until:
            return
        yield request
