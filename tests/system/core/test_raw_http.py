"""Errors and connection handling of gunicorn, tested over raw sockets."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

MB = 1024 * 1024
PATH = "/api/v1/auth/token"
JSON = "Content-Type: application/json"


class Connection:
    """A raw HTTP connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=100)
        self._reader = self.socket.makefile("rb")

    def send(self, request: str, *headers: str, body: bytes = b"") -> Connection:
        """Send the whole request. Ignore a closed connection, so that an early response can still be read."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall("\r\n".join((request, "Host: localhost", *headers, "", "")).encode() + body)
        return self

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._reader.readline().split()[1])
        headers = {}
        while line := self._reader.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self._reader.read(int(headers.get("content-length", 0)))

    def is_closed(self) -> bool:
        return self._reader.read() == b""

    def is_closed_or_reset(self) -> bool:
        """A server that no longer waits for the rest of a long body resets the connection."""
        try:
            return self.is_closed()
        except ConnectionResetError:
            return True


@pytest.fixture
def connection(live_stack: LiveStack) -> Iterator[Connection]:
    """A new connection. The server closes it after ten seconds in which nothing is sent, so tests name it last."""
    with connected(live_stack) as connection:
        yield connection


@contextmanager
def connected(stack: LiveStack) -> Iterator[Connection]:
    connection = Connection(stack.port)
    try:
        yield connection
    finally:
        connection.socket.close()


def assert_error(response: tuple[int, dict[str, str], bytes], status: int) -> None:
    actual, headers, body = response
    assert actual == status, body
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    (error,) = json.loads(body)["errors"]
    assert set(error) == {"code", "detail", "attr"}
    assert json.loads(body)["type"] in ("client_error", "validation_error")


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        (f"GET /api/v1/{'x' * 9_000} HTTP/1.1", [], 414),
        (f"GET /api/v1/{'x' * 900_000} HTTP/1.1", [], 414),
        ("GET /api/v1/feed HTTP/1.1", [f"X-Long: {'x' * 9_000}"], 431),
        ("GET /api/v1/feed HTTP/1.1", [f"X-Long: {'x' * 900_000}"], 431),
        ("GET /api/v1/feed HTTP/1.1", [f"X-{number}: 1" for number in range(100)], 431),
        ("nonsense", [], 400),
        ("GET /api/v1/feed HTTP/9.9", [], 400),
        ("GET /api/v1/\x00 HTTP/1.1", [], 400),
        ("g<t /api/v1/feed HTTP/1.1", [], 400),
        ("GET /api/v1/feed HTTP/1.1", ["No colon"], 400),
        ("GET /api/v1/feed HTTP/1.1", ["<b>: x"], 400),
        ("GET /api/v1/feed HTTP/1.1", ["X: a\x00b"], 400),
        (f"POST {PATH} HTTP/1.1", [JSON, "Content-Length: -1"], 400),
        (f"POST {PATH} HTTP/1.1", [JSON, "Content-Length: 1", "Content-Length: 2"], 400),
        (f"POST {PATH} HTTP/1.1", [JSON, "Content-Length: 1", "Transfer-Encoding: chunked"], 400),
        (f"POST {PATH} HTTP/1.1", [JSON, "Transfer-Encoding: nonsense"], 400),
        (f"POST {PATH} HTTP/1.1", ["Expect: the unexpected"], 417),
    ],
    ids=range(17),
)
def test_malformed_requests_get_the_standard_error_format(
    connection: Connection, request_line: str, headers: list[str], status: int
) -> None:
    response = connection.send(request_line, *headers).receive()
    assert_error(response, status)
    assert response[1]["connection"] == "close"
    assert connection.is_closed()


def test_headers_cannot_change_the_request_path(connection: Connection) -> None:
    connection.send("GET /api/v1/feed HTTP/1.1", "SCRIPT_NAME: /admin", "PATH_INFO: /docs")
    assert_error(connection.receive(), 401)


@pytest.mark.parametrize("size", [MB + 1, 8 * MB])
def test_oversized_body_gets_413_and_closes_the_connection(connection: Connection, size: int) -> None:
    response = connection.send(f"POST {PATH} HTTP/1.1", JSON, f"Content-Length: {size}", body=b"x" * size).receive()
    assert_error(response, 413)
    assert response[1]["connection"] == "close"
    assert connection.is_closed_or_reset()


def test_unread_large_body_closes_the_connection(connection: Connection) -> None:
    response = connection.send("POST /api/v1/nowhere HTTP/1.1", JSON, f"Content-Length: {MB}", body=b"x" * MB).receive()
    assert_error(response, 404)
    assert response[1]["connection"] == "close"
    assert connection.is_closed_or_reset()


@pytest.mark.parametrize("path", [PATH, "/api/v1/nowhere", "/api/v1/posts"])
def test_connection_stays_open_after_other_errors(connection: Connection, path: str) -> None:
    for _ in range(3):
        status, headers, _ = connection.send(
            f"POST {path} HTTP/1.1", JSON, "Content-Length: 5", body=b"[1,2]"
        ).receive()
        assert status in (400, 401, 404)
        assert headers["connection"] == "keep-alive"


def chunked(body: bytes, size: int = 7) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.fixture
def sign_in(live_stack: LiveStack) -> bytes:
    return json.dumps(HttpUser(live_stack).credentials).encode()


def test_chunked_body_is_accepted(sign_in: bytes, connection: Connection) -> None:
    for _ in range(2):
        connection.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=chunked(sign_in))
        status, headers, body = connection.receive()
        assert (status, headers["connection"]) == (200, "keep-alive"), body


@pytest.mark.parametrize("size", [MB + 1, 3 * MB, 40 * MB])
def test_oversized_chunked_body_gets_413(connection: Connection, size: int) -> None:
    connection.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=chunked(b"x" * size, MB))
    assert_error(connection.receive(), 413)


@pytest.mark.parametrize(
    "body", [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}", b"2\r\n{}xx\r\n", b"2;\x00\r\n{}\r\n0\r\n\r\n", b"\r\n\r\n"]
)
def test_invalid_chunks_get_400(connection: Connection, body: bytes) -> None:
    response = connection.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=body).receive()
    assert_error(response, 400)
    assert response[1]["connection"] == "close"


def test_body_is_not_parsed_as_another_request(sign_in: bytes, connection: Connection) -> None:
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connection.send(f"POST {PATH} HTTP/1.1", JSON, f"Content-Length: {len(smuggled)}", body=smuggled)
    assert_error(connection.receive(), 400)
    connection.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=chunked(sign_in) + smuggled)
    assert b"access" in connection.receive()[2]
    assert b"access" not in connection.receive()[2], "bytes after the body are the next request"


def test_clients_that_do_not_close_do_not_block_others(live_stack: LiveStack) -> None:
    """A web process ends several connections at once: none waits until another client has closed."""
    processes = live_stack.part("web").tree()

    def more_wait_than_processes() -> bool:
        with ExitStack() as held:
            clients = [held.enter_context(connected(live_stack)) for _ in range(6)]
            for client in clients:
                client.send("GET /nowhere HTTP/1.1", "Connection: close")
                assert client.receive()[0] == 404
            liveness = [held.enter_context(connected(live_stack)) for _ in range(30)]
            for client in liveness:
                client.send("GET /health/live HTTP/1.1", "Connection: close")
            assert {client.receive()[0] for client in liveness} == {200}
            assert all(client.is_closed() for client in clients), "the server has ended its side"
            return count_held(processes, clients) > len(processes)

    eventually(more_wait_than_processes)


def count_held(processes: list[psutil.Process], clients: list[Connection]) -> int:
    """Count the connections that the server still has open, for the client to close its side."""
    ports = {client.socket.getsockname()[1] for client in clients}
    open_ones = [one for process in processes for one in process.net_connections("tcp")]
    return len({one.raddr.port for one in open_ones if one.raddr} & ports)


@pytest.mark.restarts_a_program
def test_stalled_clients_do_not_block_the_site(live_stack: LiveStack) -> None:
    half = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 100\r\n\r\n{{"
    with ExitStack() as held:
        held.enter_context(live_stack.restarted("web", WEB_WORKERS="1", WEB_THREADS="4"))
        for _ in range(8):  # twice as many as the only process has threads
            held.enter_context(connected(live_stack)).socket.sendall(half.encode())
        others = [held.enter_context(connected(live_stack)) for _ in range(8)]
        for other in others:
            other.send("GET /health/live HTTP/1.1")
        assert [other.receive()[0] for other in others] == [200] * 8


@pytest.mark.parametrize("codec", ["hex", "zlib", "idna", "utf-7", "unicode_escape", "no-such-codec"])
def test_request_charset_is_ignored(live_stack: LiveStack, codec: str) -> None:
    for path in ("/health?x=1", "/api/v1/users?search=%2B2AA-", "/admin/login/?next=%2B2AA-"):
        for name in (
            *(f"charset={codec}", f"charset*={codec}''utf-8", f"boundary*={codec}''x"),
            f'a"b=1; charset={codec}; c=d',  # two parsers must not read it differently
            f"boundary=x\\; charset={codec}",
            f'boundary="x\\"; charset={codec}; y="z"',
        ):
            response = live_stack.get(path, headers={"Content-Type": f"text/plain; {name}"})
            assert response.status_code in (200, 401), response.text
    signed_in = live_stack.post(
        "/admin/login/",
        content=b"username=%2B2AA-",
        headers={"Content-Type": f"application/x-www-form-urlencoded; charset={codec}"},
    )
    assert signed_in.status_code == 403  # no CSRF token
    query = "&".join(f"a{number}=1" for number in range(1_200))
    assert (
        live_stack.get(f"/api/v1/users?{query}", headers={"Content-Type": "text/plain; charset=utf-8"}).status_code
        < 500
    )


def test_refused_host_is_logged_without_its_value(live_stack: LiveStack) -> None:
    assert live_stack.get("/health", headers={"Host": "evil-host.example"}).status_code == 400
    log = live_stack.log("web")
    eventually(lambda: "refused: DisallowedHost" in log.read_text())
    assert "evil-host" not in log.read_text()


def test_liveness_is_answered_while_all_threads_are_busy(live_stack: LiveStack) -> None:
    """Clients that stall within a request hold every thread for ten seconds, also if they ask for this path.

    There are so many that a request behind them would wait for minutes.
    """
    with ExitStack() as held:
        stalled = [held.enter_context(connected(live_stack)).socket for _ in range(480)]
        beginnings = ("GET /api/v1/feed", "GET /health/live", "GET /health/live")
        ends = ("", "", "Content-Length: 1000\r\n\r\n")  # a body that does not come
        for number, sock in enumerate(stalled):
            head = f"{beginnings[number % 3]} HTTP/1.1\r\nHost: localhost\r\n{ends[number % 3]}"
            sock.sendall(head.encode())
        client = held.enter_context(connected(live_stack))
        for _ in range(3):
            client.send("GET /health/live HTTP/1.1")
            assert client.receive()[0] == 200


@pytest.fixture
def user_with_posts(live_stack: LiveStack) -> HttpUser:
    user = HttpUser(live_stack)
    for _ in range(4):
        user.create_post("hello " * 50)
    return user


def test_304_and_compressed_responses_leave_the_connection_open(
    user_with_posts: HttpUser, connection: Connection
) -> None:
    user = user_with_posts
    feed, token = "GET /api/v1/feed HTTP/1.1", f"Authorization: {user.headers['Authorization']}"
    status, headers, plain = connection.send(feed, token).receive()
    assert (status, headers.get("content-encoding")) == (200, None)
    status, headers, compressed = connection.send(feed, token, "Accept-Encoding: gzip").receive()
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(compressed) == plain
    known = f"If-None-Match: {headers['etag']}"
    for request in (feed, feed.replace("GET", "HEAD")):
        status, headers, body = connection.send(request, token, known).receive()
        assert (status, headers["etag"], body) == (304, known.partition(": ")[2], b"")
        assert headers["cache-control"] == "private, no-store"
        assert headers["x-request-id"]
        assert not {"content-length", "content-type", "transfer-encoding"} & headers.keys()
    assert connection.send(feed, token).receive()[2] == plain
