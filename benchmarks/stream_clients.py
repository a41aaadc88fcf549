"""The clients of many streams in one process, for `ChildProcess`: they note when events arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple

MAX_OPENING = 100  # at once
COLLECT_TIMEOUT = 30.0  # seconds


class Arrival(NamedTuple):
    stream: int
    at: float  # time.time()
    posts: int


class _Clients:
    def __init__(self, port: int) -> None:
        self._port = port
        self._opening = asyncio.Semaphore(MAX_OPENING)
        self._tasks: list[asyncio.Task[None]] = []
        self.begun = 0
        self.arrivals: list[Arrival] = []

    async def open(self, tokens: Sequence[str]) -> None:
        self._tasks = [asyncio.create_task(self._read(number, token)) for number, token in enumerate(tokens)]
        while self.begun < len(tokens):
            await asyncio.sleep(0.01)

    async def collect(self, count: int) -> list[Arrival]:
        """Return what has arrived, once it announces `count` posts or after COLLECT_TIMEOUT."""
        deadline = time.monotonic() + COLLECT_TIMEOUT
        while sum(arrival.posts for arrival in self.arrivals) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        arrivals, self.arrivals = self.arrivals, []
        return arrivals

    def count_open(self) -> int:
        return sum(not task.done() for task in self._tasks)

    async def _read(self, number: int, token: str) -> None:
        async with self._opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=4096)
            head = f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
            writer.write(head.encode())
            while not (await reader.readline()).startswith(b"event: notification"):
                if reader.at_eof():
                    raise ConnectionError("a stream ended before it began")
            self.begun += 1
        while line := await reader.readline():
            if line.startswith(b'data: {"count":'):
                self.arrivals.append(Arrival(number, time.time(), int(line[15:].split(b"}")[0])))


def serve(pipe: Pipe, port: int) -> None:
    """Answer `("open", tokens)`, `("collect", posts)` and `("count", 0)`."""
    asyncio.run(_serve(pipe, port))


async def _serve(pipe: Pipe, port: int) -> None:
    clients, loop = _Clients(port), asyncio.get_running_loop()
    while True:
        name, argument = await loop.run_in_executor(None, pipe.recv)
        if name == "open":
            await clients.open(argument)
            pipe.send(None)
        elif name == "collect":
            pipe.send(await clients.collect(argument))
        else:
            pipe.send(clients.count_open())
