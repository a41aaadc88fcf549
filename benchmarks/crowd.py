"""Many clients in one process: an open loop with as many keep-alive connections as there are requests under way.

A loop with a fixed number of connections cannot overload a server: it waits when all of its connections wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing.connection import Connection as Pipe
from typing import cast

from benchmarks.http_load import HOST


@dataclass(frozen=True)
class Load:
    """Requests to send in turn, `rate` per second for `seconds`; or by `connections` clients without pauses."""

    requests: Sequence[bytes]
    seconds: float
    rate: float = 0.0
    connections: int = 0


@dataclass
class Answers:
    """When each request was due, in seconds from the start; its latency from then on, in ms; its status, 0 if none."""

    due: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def with_status(self, status: int, *, due_after: float = 0.0) -> list[float]:
        """Return the latencies of the answers with this status."""
        rows = zip(self.due, self.latencies, self.statuses, strict=True)
        return [latency for due, latency, each in rows if each == status and due >= due_after]


def serve(pipe: Pipe, port: int) -> None:
    """For `ChildProcess`: runs every load it is sent."""
    crowd = _Crowd(port)
    loop = asyncio.new_event_loop()
    while True:
        load: Load = pipe.recv()
        pipe.send(loop.run_until_complete(crowd.run(load)))


class _Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request under way. asyncio's streams would cost twice as much CPU."""

    def __init__(self) -> None:
        self.keeps_alive = True
        self._received = b""
        self._length = -1  # of the head and the body; -1 until the head is complete
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def exchange(self, request: bytes) -> int:
        """Send a request and return the status. Raises ConnectionError if the connection ends."""
        self._received, self._length = b"", -1
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._length < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            self.keeps_alive = b"connection: close" not in head
            self._length = end + 4 + int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if self._answer and len(self._received) == self._length:
            self._answer.set_result(int(self._received[9:12]))
            self._answer = None

    def connection_lost(self, error: Exception | None) -> None:
        self.keeps_alive = False
        if self._answer:
            self._answer.set_exception(ConnectionError("the connection ended before the answer"))

    def close(self) -> None:
        self._transport.close()


class _Crowd:
    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

    async def run(self, load: Load) -> Answers:
        self._answers, self._started = Answers(), time.perf_counter()
        if load.rate:
            await self._send_on_schedule(load)
        else:
            parts = [load.requests[number % len(load.requests) :] for number in range(load.connections)]
            await asyncio.gather(*(self._send_without_pauses(part, load.seconds) for part in parts))
        return self._answers

    async def _send_on_schedule(self, load: Load) -> None:
        under_way: set[asyncio.Task[None]] = set()
        requests = islice(cycle(load.requests), int(load.rate * load.seconds))
        for number, request in enumerate(requests):
            due = number / load.rate
            if (wait := self._started + due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._send(request, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _send_without_pauses(self, requests: Sequence[bytes], seconds: float) -> None:
        for request in cycle(requests):
            due = time.perf_counter() - self._started
            if due > seconds:
                return
            await self._send(request, due)

    async def _send(self, request: bytes, due: float) -> None:
        try:
            status = await self._exchange(request)
        except OSError:
            status = 0
        self._answers.due.append(due)
        self._answers.latencies.append((time.perf_counter() - self._started - due) * 1000)
        self._answers.statuses.append(status)

    async def _exchange(self, request: bytes) -> int:
        connection = await self._connect()
        status = await connection.exchange(request)
        if connection.keeps_alive:
            self._idle.append(connection)
        else:
            connection.close()
        return status

    async def _connect(self) -> _Connection:
        while self._idle:
            if (connection := self._idle.pop()).keeps_alive:  # not ended by the server since
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, HOST, self._port)
        return connection
