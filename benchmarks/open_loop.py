"""Generate HTTP load from a schedule in a child process: one thread, an epoll loop over keep-alive connections.

A client that waits for a response before its next request understates the latency of a slow server (Gil Tene's
"coordinated omission"). Here a request is sent when it is due, over one more connection if all are busy, and its
latency counts from then. The generator shares the machine's cores with the servers, so it does as little as possible
for each request, and it reports its own CPU time.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import resource
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe

from benchmarks.child_process import ChildProcess
from benchmarks.http_client import HOST, connect_evenly

CONNECTIONS = 16
ANSWER_TIMEOUT = 30.0  # seconds after the last event; requests without an answer then have the status 0


@dataclass(frozen=True)
class Request:
    """The bytes of a request, and the name of its kind, such as "feed"."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Schedule:
    """Requests to send in turn, `rate` per second: each once, or again and again for `seconds`.

    With the rate 0 this is a closed loop: each of the `connections` sends a request when the previous one is answered.
    Otherwise there are as many at the beginning, and more are opened when all are busy. `marker` is counted in the
    bodies of the answers.
    """

    requests: Sequence[Request]
    rate: float
    seconds: float = 0.0
    connections: int = CONNECTIONS
    marker: bytes = b""


@dataclass
class Answers:
    """Lists with one element for each request, in the order of the answers.

    `due` in seconds from the start; `latencies` from then on, in milliseconds; `statuses` 0 if there was no answer;
    `markers`: how often the marker was in the body. In a closed loop a request is due when it is sent.
    """

    names: list[str] = field(default_factory=list)
    due: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    markers: list[int] = field(default_factory=list)
    seconds: float = 0.0  # from the start to the last answer
    cpu_seconds: float = 0.0  # of the generator

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.statuses) / self.seconds

    def with_status(self, status: int, *, name: str | None = None, due_after: float = 0.0) -> list[float]:
        """Return the latencies of the answers with this status, of one kind or of all."""
        rows = zip(self.names, self.due, self.latencies, self.statuses, strict=True)
        return [
            latency for kind, due, latency, each in rows if each == status and due >= due_after and name in (None, kind)
        ]

    def count_others(self, *expected: int, name: str | None = None) -> int:
        """Count the requests with another status than these, of one kind or of all."""
        rows = zip(self.names, self.statuses, strict=True)
        return sum(status not in expected and name in (None, kind) for kind, status in rows)


def run(client: ChildProcess, schedule: Schedule) -> Answers:
    """Run a schedule in a child process with the target `serve`."""
    client.send(schedule)
    seconds = schedule.seconds or (len(schedule.requests) / schedule.rate if schedule.rate else 0)
    answers: Answers = client.receive(timeout=seconds + 120)
    return answers


def serve(pipe: Pipe, port: int, processes: int) -> None:
    """For `ChildProcess`: runs every schedule it is sent, each over new connections.

    They are spread evenly over the `processes` of the server, whose URLs are those of `benchmarks.urls`.
    """
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    gc.disable()  # a collection would delay requests, and nothing here is cyclic
    while True:
        schedule: Schedule = pipe.recv()
        connections = connect_evenly(port, schedule.connections, processes)
        loop = _Loop(port, schedule, [connection.socket for connection in connections])
        pipe.send(loop.run())
        loop.close()


class _Connection:
    """A connection with at most one request under way."""

    __slots__ = ("body", "due", "missing", "name", "received", "socket", "status", "stays_open", "unsent")

    def __init__(self, socket_: socket.socket) -> None:
        socket_.setblocking(False)
        self.socket = socket_
        self.name = ""
        self.due = 0.0
        self.unsent = b""
        self.received = b""  # of the head
        self.body: list[bytes] = []  # parts
        self.missing = -1  # bytes of the body; -1 before the end of the head
        self.status = 0
        self.stays_open = True

    def begin(self, request: Request, due: float) -> None:
        self.name, self.due, self.unsent = request.name, due, request.data
        self.received, self.body, self.missing, self.status = b"", [], -1, 0

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def receive(self) -> bool:
        """Read what there is, and return whether the answer is complete. Raise OSError if there will be none."""
        data = self.socket.recv(262_144)
        if not data or not self.name:
            raise ConnectionError("the server closed the connection")
        if self.missing < 0:
            data = self.received + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.received = data
                return False
            self._read_head(data[:end].lower())
            data = data[end + 4 :]
        self.missing -= len(data)
        self.body.append(data)
        return self.missing == 0

    def _read_head(self, head: bytes) -> None:
        self.status = int(head[9:12])
        _, found, rest = head.partition(b"content-length: ")
        if not found and self.status != 204:
            raise ConnectionError("a response without Content-Length")
        self.missing = int(rest.partition(b"\r\n")[0]) if found else 0
        self.stays_open = b"connection: close" not in head


class _Loop:
    """One run of a schedule."""

    def __init__(self, port: int, schedule: Schedule, sockets: Sequence[socket.socket]) -> None:
        self._port = port
        self._schedule = schedule
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._idle = deque(self._register(each, select.EPOLLIN) for each in sockets)
        self._busy = 0
        self._last_event = 0.0
        self._answers = Answers()

    def run(self) -> Answers:
        cpu, self._started = time.process_time(), time.perf_counter()
        coming = self._open_loop() if self._schedule.rate else self._closed_loop()
        wait = next(coming, None)
        while wait is not None or self._busy:
            # Not the time-out of epoll, which is in milliseconds.
            select.select([self._epoll], [], [], ANSWER_TIMEOUT if wait is None else wait)
            for number, event in self._epoll.poll(0):
                self._handle(self._connections[number], event)
            if wait is None and self._now() > self._last_event + ANSWER_TIMEOUT:
                self._give_up()
            wait = next(coming, None)
        self._answers.seconds = self._now()
        self._answers.cpu_seconds = time.process_time() - cpu
        return self._answers

    def close(self) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._epoll.close()

    def _now(self) -> float:
        return time.perf_counter() - self._started

    def _open_loop(self) -> Iterator[float]:
        """Send what is due, and yield the seconds until the next request."""
        rate, requests = self._schedule.rate, self._schedule.requests
        count = int(rate * self._schedule.seconds) if self._schedule.seconds else len(requests)
        for number, request in enumerate(itertools.islice(itertools.cycle(requests), count)):
            due = number / rate
            while (wait := due - self._now()) > 0:
                yield wait
            self._send(request, due, self._idle.popleft() if self._idle else self._connect())

    def _closed_loop(self) -> Iterator[float]:
        """Send over all idle connections, and yield the longest time to wait for an answer."""
        seconds, requests = self._schedule.seconds, self._schedule.requests
        for request in itertools.cycle(requests) if seconds else requests:
            while not self._idle:
                yield ANSWER_TIMEOUT
            if seconds and self._now() > seconds:
                return
            self._send(request, self._now(), self._idle.popleft())

    def _send(self, request: Request, due: float, connection: _Connection) -> None:
        connection.begin(request, due)
        self._busy += 1
        self._last_event = self._now()
        try:
            connection.flush()
        except OSError:
            self._lose(connection)
            return
        if connection.unsent:
            self._epoll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)

    def _handle(self, connection: _Connection, event: int) -> None:
        self._last_event = self._now()
        try:
            if event & select.EPOLLOUT:
                connection.flush()
                if not connection.unsent:
                    self._epoll.modify(connection.socket, select.EPOLLIN)
            if event & ~select.EPOLLOUT and connection.receive():
                self._finish(connection)
        except OSError:
            self._lose(connection)

    def _finish(self, connection: _Connection) -> None:
        self._record(connection, connection.status)
        connection.name = ""
        if connection.stays_open:
            self._idle.append(connection)
        else:
            self._lose(connection)

    def _lose(self, connection: _Connection) -> None:
        """Close a connection; a request under way gets the status 0. A closed loop replaces it."""
        if connection.name:
            self._record(connection, 0)
        elif connection in self._idle:
            self._idle.remove(connection)
        del self._connections[connection.socket.fileno()]
        connection.socket.close()  # which also removes it from the epoll object
        if not self._schedule.rate:
            self._idle.append(self._connect())

    def _give_up(self) -> None:
        for connection in [each for each in self._connections.values() if each.name]:
            self._lose(connection)

    def _record(self, connection: _Connection, status: int) -> None:
        self._busy -= 1
        self._answers.names.append(connection.name)
        self._answers.due.append(connection.due)
        self._answers.latencies.append((self._now() - connection.due) * 1000)
        self._answers.statuses.append(status)
        marker = self._schedule.marker
        self._answers.markers.append(b"".join(connection.body).count(marker) if marker else 0)

    def _connect(self) -> _Connection:
        """Begin to connect. The first request is sent when the connection is established."""
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.connect_ex((HOST, self._port))
        return self._register(client, select.EPOLLIN | select.EPOLLOUT)

    def _register(self, client: socket.socket, events: int) -> _Connection:
        connection = _Connection(client)
        self._connections[client.fileno()] = connection
        self._epoll.register(client, events)
        return connection
