"""HTTP for benchmarks: the bytes of requests, and keep-alive connections over raw sockets.

The client shares the machine's cores with the server, so it parses only what it needs: status and length.
"""

from __future__ import annotations

import json
import math
import socket
import time
from typing import Any

from benchmarks.results import BenchmarkError

HOST = "127.0.0.1"
_CONNECT_TIMEOUT = 30.0  # seconds until each process of the server has accepted its share


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


_PROCESS_REQUEST = get("/yardstick/worker")


def connect_evenly(port: int, count: int, processes: int) -> list[HttpConnection]:
    """Return `count` connections, evenly spread over the processes of a server with the URLs of `benchmarks.urls`.

    A connection stays with the process that accepted it, and chance would give one of them more than another.
    """
    found: dict[bytes, list[HttpConnection]] = {}
    deadline = time.monotonic() + _CONNECT_TIMEOUT
    while time.monotonic() < deadline:
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
