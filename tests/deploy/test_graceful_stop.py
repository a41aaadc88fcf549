"""gunicorn stopped while connections are queued: it answers them and accepts no further ones."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor

from instafeed.devstack.ports import free_port
from tests.deploy import slow_app
from tests.support.eventually import eventually

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
QUEUED = 12  # with one thread, so most are not accepted yet


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def read_status(client: socket.socket) -> bytes:
    """Return the response's first line or the error's name, and close, as gunicorn waits for that."""
    with client:
        try:
            return client.makefile("rb").read().split(b"\r\n")[0]
        except OSError as error:
            return type(error).__name__.encode()


def answers(port: int) -> bool:
    try:
        with connect(port) as client:
            client.sendall(REQUEST)
            return bool(client.makefile("rb").read())
    except OSError:
        return False


def test_queued_connections_are_answered_and_new_ones_refused() -> None:
    port = free_port()
    # One connection at a time is accepted; the others stay in the kernel's queue.
    program = slow_app.serve(port, "--worker-connections", "2", "--graceful-timeout", "60")
    try:
        eventually(lambda: answers(port))
        clients = [connect(port) for _ in range(QUEUED)]
        for client in clients:
            client.sendall(REQUEST)
        program.send_signal(signal.SIGTERM)
        with ThreadPoolExecutor(QUEUED) as readers:
            statuses = list(readers.map(read_status, clients))
        assert statuses == [b"HTTP/1.1 200 OK"] * QUEUED
        assert socket.socket().connect_ex(("127.0.0.1", port)) != 0
        assert program.wait(60) == 0
    finally:
        program.kill()
        program.wait()
