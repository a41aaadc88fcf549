"""gunicorn with more requests than it can answer in time."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from instafeed.core.http.gunicorn_worker import MAX_QUEUE_SECONDS
from instafeed.devstack.ports import free_port
from tests.deploy import slow_app
from tests.support.eventually import eventually

QUEUED = int(3 * MAX_QUEUE_SECONDS / slow_app.SECONDS)
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n"


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """While this file exists, the queue stands still after a few requests, however long the test takes."""
    return tmp_path / "hold"


@pytest.fixture
def port(hold: Path) -> Iterator[int]:
    port = free_port()
    program = slow_app.serve(port, hold=hold)
    try:
        eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        assert exchange(connect(port)) == 200
        yield port
    finally:
        program.kill()
        program.wait()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def exchange(client: socket.socket, headers: bytes = b"") -> int:
    """Send a request and return the status. Fail unless a refusal is complete."""
    client.sendall(REQUEST % headers)
    return read_status(client)


def read_status(client: socket.socket) -> int:
    response = client.makefile("rb")
    status = int(response.readline().split()[1])
    headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(response.readline, b"\r\n"))
    body = response.read(int(headers["content-length"]))
    if status == 503:
        assert headers["retry-after"] == "1"
        assert headers["content-type"] == "application/json"
        assert json.loads(body)["errors"][0]["code"] == "service_unavailable"
    return status


def test_request_that_would_wait_too_long_is_refused_at_once(port: int, hold: Path) -> None:
    with ExitStack() as stack:
        hold.touch()
        queued = [stack.enter_context(connect(port)) for _ in range(QUEUED)]
        for client in queued:
            client.sendall(REQUEST % b"")
        eventually(lambda: select.select(queued, [], [], 0)[0])
        late, once = stack.enter_context(connect(port)), stack.enter_context(connect(port))
        assert exchange(late) == 503
        assert exchange(once, b"Connection: close\r\n") == 503
        assert not once.recv(1), "closed, as the client asked"
        assert len(select.select(queued, [], [], 0)[0]) < QUEUED / 2, "they came first and still wait"
        hold.unlink()
        assert {read_status(client) for client in queued} == {200, 503}, "those that had waited too long were refused"
        assert exchange(late) == 200, "over the same connection"


def test_health_check_is_never_refused(port: int) -> None:
    with ExitStack() as stack:
        queued = [stack.enter_context(connect(port)) for _ in range(QUEUED)]
        for client in queued:
            client.sendall(REQUEST % b"")
        eventually(lambda: select.select(queued, [], [], 0)[0])
        client = stack.enter_context(connect(port))
        client.sendall((REQUEST % b"").replace(b"GET /", b"GET /health"))
        assert read_status(client) == 200
