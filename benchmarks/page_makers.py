"""Ways to make the same page of a feed: the project behind gunicorn, and programs in a process of their own.

A maker returns the body of a page and how long it took. `Tally` collects what the pages of one kind cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks import http_client
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import Usage
from benchmarks.http_client import HttpConnection
from benchmarks.page_process import Made, Page
from benchmarks.results import percentile
from feeds.api.views import FEED_CURSOR
from instafeed.core.api.pagination.cursors import encode_cursor

MAX_IDLE = 30.0  # seconds, below gunicorn's keep-alive


@dataclass(frozen=True)
class Viewer:
    """A user with an access token, and the expected post ids: of the first page, and of the page below `cursor`."""

    pk: int
    token: str
    first: list[int]
    deep: list[int]
    cursor: int


class Maker(Protocol):
    def make(self, viewer: Viewer, before: int | None) -> Made:
        """Make the viewer's page below a post id, or the first."""


class HttpMaker:
    """The project behind a web server, over one connection. Its CPU time and SQL statements are not measured."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: HttpConnection | None = None
        self._used_at = 0.0

    def make(self, viewer: Viewer, before: int | None) -> Made:
        page = project_page(viewer, before)
        request = http_client.get(f"{page.path}?{page.query}", page.token)
        connection = self._connect()
        started = time.perf_counter()
        status, body = connection.exchange(request)
        latency = (time.perf_counter() - started) * 1000
        return Made(body if status == 200 else None, latency, cpu=0, statements=0)

    def _connect(self) -> HttpConnection:
        """Return the connection, or a new one before the server closes one that was not used for long."""
        if self._connection is None or time.monotonic() - self._used_at > MAX_IDLE:
            self._connection = HttpConnection(self._port)
        self._used_at = time.monotonic()
        return self._connection


@dataclass(frozen=True)
class ProcessMaker:
    """A WSGI application in a process of its own (`page_process.serve`)."""

    process: ChildProcess
    page: Callable[[Viewer, int | None], Page]

    def make(self, viewer: Viewer, before: int | None) -> Made:
        self.process.send(self.page(viewer, before))
        made: Made = self.process.receive()
        return made


def project_page(viewer: Viewer, before: int | None) -> Page:
    cursor = f"cursor={encode_cursor(FEED_CURSOR, before)}" if before else ""
    return Page("/api/v1/feed", cursor, viewer.token)


def rival_page(path: str) -> Callable[[Viewer, int | None], Page]:
    """Return the function that names a rival's pages. They need no token."""

    def page(viewer: Viewer, before: int | None) -> Page:
        return Page(f"/{path}/{viewer.pk}", f"before={before}" if before else "")

    return page


@dataclass
class Tally:
    """What the pages of one kind and maker cost."""

    latencies: list[float] = field(default_factory=list)  # ms
    maker_cpu: float = 0.0  # seconds, of a process that makes pages
    statements: int = 0  # SQL
    usage: Usage = field(default_factory=Usage)  # of the web server, Redis and PostgreSQL

    def add(self, made: Made) -> None:
        self.latencies.append(made.latency)
        self.maker_cpu += made.cpu
        self.statements += made.statements

    @property
    def p50(self) -> float:
        return percentile(self.latencies, 50)

    def figures(self, prefix: str) -> dict[str, float]:
        """Return latencies, and CPU time and SQL statements for a page."""
        count = len(self.latencies)
        figures = {
            f"{prefix}p50_ms": self.p50,
            f"{prefix}p99_ms": percentile(self.latencies, 99),
            **self.usage.figures(count, prefix),
        }
        if self.maker_cpu:  # a process, whose CPU time is the web server's
            figures[f"{prefix}cpu_web_ms"] = 1000 * self.maker_cpu / count
            figures[f"{prefix}sql"] = self.statements / count
        return figures
