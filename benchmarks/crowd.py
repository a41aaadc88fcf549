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

from benchmarks.http_load import HOST

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


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


class _Crowd:
    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Streams] = []

    async def run(self, load: Load) -> Answers:
        self._answers, self._started = Answers(), time.perf_counter()
        if load.rate:
            await self._send_on_schedule(load)
        else:
            self._close_idle()  # those that are left may all be of one of several server processes
            parts = [load.requests[number % len(load.requests) :] for number in range(load.connections)]
            await asyncio.gather(*(self._send_without_pauses(part, load.seconds) for part in parts))
        return self._answers

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

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
        except (OSError, asyncio.IncompleteReadError):
            status = 0
        self._answers.due.append(due)
        self._answers.latencies.append((time.perf_counter() - self._started - due) * 1000)
        self._answers.statuses.append(status)

    async def _exchange(self, request: bytes) -> int:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(HOST, self._port)
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head[9:12])
