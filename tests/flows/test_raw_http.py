"""What gunicorn answers by itself, and when it closes: over raw sockets, as clients that are not browsers see it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.flows.api_user import ApiUser
from tests.live_stack import LiveStack

MB = 1024 * 1024
PATH = "/api/v1/auth/token"
JSON = "Content-Type: application/json"


class Wire:
    """A connection that is written to and read from as told."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._answers = self.socket.makefile("rb")

    def send(self, request: str, *headers: str, body: bytes = b"") -> Wire:
        """Sends all of it before anything is read; a client that is cut off half way reads all the same."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall("\r\n".join((request, "Host: localhost", *headers, "", "")).encode() + body)
        return self

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._answers.readline().split()[1])
        headers = {}
        while line := self._answers.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self._answers.read(int(headers["content-length"]))

    def closed(self) -> bool:
        return self._answers.read() == b""


@pytest.fixture
def wire(live_stack: LiveStack) -> Iterator[Wire]:
    with connected(live_stack) as wire:
        yield wire


@contextmanager
def connected(stack: LiveStack) -> Iterator[Wire]:
    wire = Wire(stack.port)
    try:
        yield wire
    finally:
        wire.socket.close()


def check(answer: tuple[int, dict[str, str], bytes], status: int) -> None:
    found, headers, body = answer
    assert found == status, body
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
def test_what_cannot_be_read_is_answered_in_the_one_shape(
    wire: Wire, request_line: str, headers: list[str], status: int
) -> None:
    answer = wire.send(request_line, *headers).receive()
    check(answer, status)
    assert answer[1]["connection"] == "close"
    assert wire.closed()


def test_no_header_moves_the_application_to_another_path(wire: Wire) -> None:
    wire.send("GET /api/v1/feed HTTP/1.1", "SCRIPT_NAME: /admin", "PATH_INFO: /docs")
    check(wire.receive(), 401)


@pytest.mark.parametrize("size", [MB + 1, 8 * MB])
def test_a_body_that_is_too_large_is_a_413_that_says_the_connection_ends(wire: Wire, size: int) -> None:
    answer = wire.send(f"POST {PATH} HTTP/1.1", JSON, f"Content-Length: {size}", body=b"x" * size).receive()
    check(answer, 413)
    assert answer[1]["connection"] == "close"
    assert wire.closed()


def test_a_large_body_that_nobody_reads_ends_the_connection(wire: Wire) -> None:
    answer = wire.send("POST /api/v1/nowhere HTTP/1.1", JSON, f"Content-Length: {MB}", body=b"x" * MB).receive()
    check(answer, 404)
    assert answer[1]["connection"] == "close"
    assert wire.closed()


@pytest.mark.parametrize("path", [PATH, "/api/v1/nowhere", "/api/v1/posts"])
def test_after_other_refusals_the_connection_goes_on(wire: Wire, path: str) -> None:
    for _ in range(3):
        status, headers, _ = wire.send(f"POST {path} HTTP/1.1", JSON, "Content-Length: 5", body=b"[1,2]").receive()
        assert status in (400, 401, 404)
        assert headers["connection"] == "keep-alive"


def chunked(body: bytes, size: int = 7) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.fixture
def sign_in(live_stack: LiveStack) -> bytes:
    return json.dumps(ApiUser(live_stack).credentials).encode()


def test_a_body_in_chunks_is_read_like_any_other(wire: Wire, sign_in: bytes) -> None:
    for _ in range(2):
        wire.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=chunked(sign_in))
        status, headers, body = wire.receive()
        assert (status, headers["connection"]) == (200, "keep-alive"), body


@pytest.mark.parametrize("size", [MB + 1, 3 * MB, 40 * MB])
def test_a_body_in_chunks_is_as_limited_as_any_other(wire: Wire, size: int) -> None:
    wire.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=chunked(b"x" * size, MB))
    check(wire.receive(), 413)


@pytest.mark.parametrize(
    "body", [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}", b"2\r\n{}xx\r\n", b"2;\x00\r\n{}\r\n0\r\n\r\n", b"\r\n\r\n"]
)
def test_broken_chunks_are_a_400(wire: Wire, body: bytes) -> None:
    answer = wire.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=body).receive()
    check(answer, 400)
    assert answer[1]["connection"] == "close"


def test_no_request_hides_in_the_body_of_another(wire: Wire, sign_in: bytes) -> None:
    hidden = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    wire.send(f"POST {PATH} HTTP/1.1", JSON, f"Content-Length: {len(hidden)}", body=hidden)
    check(wire.receive(), 400)
    wire.send(f"POST {PATH} HTTP/1.1", JSON, "Transfer-Encoding: chunked", body=chunked(sign_in) + hidden)
    assert b"access" in wire.receive()[2]
    assert b"access" not in wire.receive()[2], "what follows a whole body is the next request"


def test_clients_that_do_not_close_hold_nobody_up(live_stack: LiveStack) -> None:
    with ExitStack() as held:
        for _ in range(6):
            rude = held.enter_context(connected(live_stack))
            assert rude.send("GET /health/live HTTP/1.1", "Connection: close").receive()[0] == 200
        started = time.monotonic()
        for _ in range(4):
            with connected(live_stack) as polite:
                assert polite.send("GET /health/live HTTP/1.1").receive()[0] == 200
        assert time.monotonic() - started < 1.5


@pytest.mark.timeout(300)
def test_clients_that_stall_half_way_do_not_stop_the_site(live_stack: LiveStack) -> None:
    half = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 100\r\n\r\n{{"
    with ExitStack() as held:
        for _ in range(100):  # until they hold every thread of both web processes
            held.enter_context(connected(live_stack)).socket.sendall(half.encode())
            if not any(answers(live_stack, within=2) for _ in range(2)):
                break
        else:
            pytest.fail("so many clients do not hold every thread")
        assert answers(live_stack, within=120)


def answers(stack: LiveStack, within: float) -> bool:
    with connected(stack) as polite:
        polite.socket.settimeout(within)
        try:
            return polite.send("GET /health/live HTTP/1.1").receive()[0] == 200
        except TimeoutError:
            return False


@pytest.mark.parametrize("codec", ["hex", "zlib", "idna", "utf-7", "unicode_escape", "no-such-codec"])
def test_a_codec_of_the_clients_choice_decodes_nothing(live_stack: LiveStack, codec: str) -> None:
    for path in ("/health?x=1", "/api/v1/users?search=%2B2AA-", "/admin/login/?next=%2B2AA-"):
        for name in (f"charset={codec}", f"charset*={codec}''utf-8", f"boundary*={codec}''x"):
            answer = live_stack.get(path, headers={"Content-Type": f"text/plain; {name}"})
            assert answer.status_code in (200, 401), answer.text
    signed_in = live_stack.post(
        "/admin/login/",
        content=b"username=%2B2AA-",
        headers={"Content-Type": f"application/x-www-form-urlencoded; charset={codec}"},
    )
    assert signed_in.status_code == 403  # no token against forgery
    many = "&".join(f"a{number}=1" for number in range(1_200))
    assert (
        live_stack.get(f"/api/v1/users?{many}", headers={"Content-Type": "text/plain; charset=utf-8"}).status_code < 500
    )


def test_what_django_refuses_is_logged_without_what_was_sent(live_stack: LiveStack) -> None:
    assert live_stack.get("/health", headers={"Host": "evil-host.example"}).status_code == 400
    log = (live_stack.data_dir / "log" / "web.log").read_text()
    assert "refused: DisallowedHost" in log
    assert "evil-host" not in log
