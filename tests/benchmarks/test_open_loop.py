"""The load generator against a small server in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks import open_loop
from benchmarks.child_process import ChildProcess
from benchmarks.http_client import get
from benchmarks.open_loop import Request, Schedule

SLOW_SECONDS = 0.2
TOGETHER = 40  # requests that are answered when all have come


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 2 * TOGETHER  # a connection that finds the queue full is tried again seconds later


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    together = threading.Barrier(TOGETHER)

    def do_GET(self) -> None:
        if self.path == "/lost":
            self.close_connection = True
            return
        if self.path == "/together":
            self.together.wait(60)
        if self.path in ("/slow", "/together"):
            threading.Event().wait(SLOW_SECONDS)
        body = str(os.getpid()).encode() * (50_000 if self.path == "/large" else 1)
        self.send_response(503 if self.path == "/refused" else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[ChildProcess]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with ChildProcess(open_loop.serve, server.server_address[1], 1) as child:
            yield child
        server.shutdown()
        thread.join()


def requests(*names: str) -> list[Request]:
    return [Request(name, get(f"/{name}")) for name in names]


def test_each_request_is_sent_once_when_it_is_due(client: ChildProcess) -> None:
    answers = open_loop.run(client, Schedule(requests("a", "b", "large"), 20))
    assert sorted(zip(answers.due, answers.names, strict=True)) == [(0, "a"), (0.05, "b"), (0.1, "large")]
    assert answers.statuses == [200, 200, 200]
    assert answers.seconds >= 0.1
    assert 0 < answers.cpu_seconds < answers.seconds


def test_requests_repeat_for_the_given_seconds(client: ChildProcess) -> None:
    answers = open_loop.run(client, Schedule(requests("a", "b"), 50, seconds=0.5))
    assert len(answers.with_status(200, name="a")) == 13
    assert len(answers.with_status(200, name="b")) == 12


def test_answers_are_counted_by_status_and_name(client: ChildProcess) -> None:
    answers = open_loop.run(client, Schedule(requests("a", "refused", "lost", "last", "a"), 100))
    assert len(answers.with_status(200)) == 3
    assert len(answers.with_status(503, name="refused")) == 1
    assert len(answers.with_status(0, name="lost")) == 1
    assert answers.count_others(200) == 2
    assert answers.count_others(200, 503, name="refused") == 0


def test_open_loop_does_not_wait_for_answers(client: ChildProcess) -> None:
    """The server answers none before it has them all."""
    answers = open_loop.run(client, Schedule(requests(*["together"] * TOGETHER), 400, connections=1))
    assert answers.statuses == [200] * TOGETHER
    assert min(answers.latencies) >= 1000 * SLOW_SECONDS


def test_closed_loop_waits_for_answers(client: ChildProcess) -> None:
    answers = open_loop.run(client, Schedule(requests(*["slow"] * 4, "last", "a"), 0, connections=2))
    assert len(answers.with_status(200)) == 6
    assert answers.seconds >= 2 * SLOW_SECONDS


def test_closed_loop_repeats_for_the_given_seconds(client: ChildProcess) -> None:
    answers = open_loop.run(client, Schedule(requests("slow"), 0, seconds=3 * SLOW_SECONDS, connections=2))
    assert 2 <= len(answers.statuses) <= 8
