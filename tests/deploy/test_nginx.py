"""nginx in front of fake apps: forwarded headers, retries, its own errors, uploads, pictures."""

from __future__ import annotations

import json
import select
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.exceptions import NotAuthenticated, Throttled

from deploy.loopback import compose, nginx
from deploy.loopback.compose import Service
from deploy.loopback.deployment import COMPOSE_FILE
from deploy.loopback.host_mapping import HostMapping
from deploy.loopback.programs import ProgramFactory
from instafeed.core.api.errors import RequestTooLarge, ServiceUnavailable, error_body
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

pytestmark = pytest.mark.xdist_group("nginx")

PICTURE = f"/media/public/{'k' * 32}/150.webp"
PRIVATE = f"/media/private/{'k' * 32}/150.webp"
EXPORT = f"/media/exports/{'k' * 32}.zip"
UPLOAD = "/api/v1/media"
VERIFICATION = "/api/v1/notifications/unread-count"
TOKEN = {"Authorization": "Bearer t"}
CHUNKED = "Transfer-Encoding: chunked"
TLS = PROJECT_ROOT / "deploy/nginx/tls/tls.conf.template"


class App(ThreadingHTTPServer):
    """Echoes the request. While `dies` is set, it reads a request and closes the connection.

    `token_status` is its response to a token that is valid.

    Its CORS headers are those of MinIO.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dies = False
        self.token_status = 200
        self.requests: list[str] = []
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, *arguments: Any) -> None:
        """Ignore connections that a test closes in the middle of a request."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*arguments)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: App

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == VERIFICATION:
            self._answer_verification()
            return
        self.server.requests.append(f"{self.command} {self.path}")
        if self.server.dies:
            self.close_connection = True
            return
        received = {"method": self.command, "path": self.path, "headers": dict(self.headers.items()), "body": len(body)}
        response = json.dumps(received).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(response)))
        self.send_header("Set-Cookie", "a=b")
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin") or "https://first.example")
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Access-Control-Expose-Headers", "*")
        self.send_header("Vary", "Origin, Accept-Encoding")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response)

    def _answer_verification(self) -> None:
        """Answer nginx, which asks before an upload, as the app does."""
        valid = self.headers["Authorization"] == TOKEN["Authorization"] and self.command == "GET"
        status = self.server.token_status if valid else 401
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="api"')
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any

    def log_message(self, *_: object) -> None:
        pass


class Balancer:
    """nginx in front of two apps and an object store."""

    def __init__(self, directory: Path, *, tls: bool = False, **variables: str) -> None:
        self.apps = [App(), App()]
        self.store = App()
        self.port, self.tls_port = free_port(), free_port()
        service = compose.read_services(
            COMPOSE_FILE, dict.fromkeys(compose.required_variables(COMPOSE_FILE), "x") | variables
        )["nginx"]
        upstreams = zip(("NGINX_API_1", "NGINX_API_2", "NGINX_OBJECT_STORE"), (*self.apps, self.store), strict=True)
        addresses = {name: app.address for name, app in upstreams} | {
            "NGINX_LISTEN_TLS": f"127.0.0.1:{self.tls_port}",
            "NGINX_TLS_DIR": "../../../tls",  # relative to nginx.conf
        }
        service = Service(**{**vars(service), "environment": service.environment | addresses})
        programs = ProgramFactory(HostMapping(directory), set())
        self.files = programs.mapping.directory("tmp", service.name)
        if tls:
            mounted = programs.mapping.mounts(service)["/etc/nginx/templates"]
            shutil.copy(TLS, mounted)
        self.program = nginx.nginx_program(service, programs, self.port)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)

    def restart(self) -> None:
        """Restart nginx, so that it uses all apps again."""
        self.program.kill()
        self.program.start()

    def close(self) -> None:
        self.program.kill()
        self.client.close()
        for app in (*self.apps, self.store):
            app.shutdown()
            app.server_close()

    def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Send a request and return what reached an app or the object store."""
        response = self.client.request(method, path, **options)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def requests_to_apps(self) -> list[str]:
        return [request for app in self.apps for request in app.requests]

    def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            response = connection.makefile("rb")
            status = int(response.readline().split()[1])
            headers = {}
            while line := response.readline().decode().strip():
                name, _, value = line.partition(": ")
                headers[name] = value
            return status, headers, response.read(int(headers["Content-Length"]))


@pytest.fixture(scope="module")
def _balancer(nginx_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    balancer = Balancer(tmp_path_factory.mktemp("nginx"))
    try:
        balancer.program.start()
        yield balancer
    finally:
        balancer.close()


@pytest.fixture
def balancer(_balancer: Balancer) -> Balancer:
    """A balancer whose apps all work and are all in use."""
    dead = [app for app in _balancer.apps if app.dies]
    for app in (*_balancer.apps, _balancer.store):
        app.dies = False
        app.token_status = 200
        app.requests.clear()
    if dead:
        _balancer.restart()
    return _balancer


# --- Forwarded requests ------------------------------------------------------------------------------------


def test_forwarding_headers_of_clients_are_overwritten(balancer: Balancer) -> None:
    claims = {
        "X-Forwarded-For": "10.1.1.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Port": "1",
        "X-Forwarded-Ssl": "on",
        "X-Forwarded-Protocol": "ssl",
        "X-Real-IP": "10.1.1.1",
        "Forwarded": "for=10.1.1.1",
        "Host": "example.org",
    }
    headers = balancer.request("GET", "/", headers=claims)["headers"]
    found = {name: headers[name] for name in claims if name in headers}
    assert found == {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "Host": "example.org"}
    assert headers["Connection"] == "close"


def test_path_and_query_pass_unchanged(balancer: Balancer) -> None:
    for path in ("/a%2Fb//c/../d?x=%2e&y", "/api/v1/posts/1/like?a=b"):
        with socket.create_connection(("127.0.0.1", balancer.port)) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            connection.makefile("rb").read()
        assert f"POST {path}" in balancer.requests_to_apps()


# --- Retries -----------------------------------------------------------------------------------------------

RETRIED = [
    ("GET", "/api/v1/feed", {}),
    ("DELETE", "/api/v1/posts/1", {}),
    ("PUT", "/x", {}),
    ("POST", "/api/v1/posts", {"Idempotency-Key": "k"}),
    ("POST", "/api/v1/posts/1/comments", {"Idempotency-Key": "k"}),
    ("POST", "/api/v1/posts/1/like", {}),
    ("POST", "/api/v1/comments/1/like", {}),
    ("POST", "/api/v1/users/a/follow", {}),
]
NOT_RETRIED = [
    ("POST", "/api/v1/posts", {}),
    ("POST", "/api/v1/auth/token/refresh", {"Idempotency-Key": "k"}),
    ("POST", "/api/v1/auth/register", {"Idempotency-Key": "k"}),
    ("POST", UPLOAD, TOKEN | {"Idempotency-Key": "k"}),
    ("POST", "/api/v1/posts/1/like%0A", {}),
    ("POST", "/api/v1/posts%0A", {"Idempotency-Key": "k"}),
    ("PATCH", "/api/v1/me", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), RETRIED)
def test_idempotent_requests_are_retried_at_the_other_app(
    balancer: Balancer, method: str, path: str, headers: dict[str, str]
) -> None:
    """The retry has the whole body too."""
    first, second = balancer.apps
    for app, other in ((first, second), (second, first)):
        app.dies, other.dies = True, False
        balancer.restart()
        received = [balancer.request(method, path, headers=headers, content=b"x" * 100_000) for _ in range(3)]
        assert [(one["method"], one["body"]) for one in received] == [(method, 100_000)] * 3
    assert balancer.requests_to_apps().count(f"{method} {path}") > 6, "requests reached the dead app and were retried"


@pytest.mark.parametrize(("method", "path", "headers"), NOT_RETRIED)
def test_other_requests_are_not_retried(balancer: Balancer, method: str, path: str, headers: dict[str, str]) -> None:
    for app in balancer.apps:
        app.dies = True
    response = balancer.client.request(method, path, headers=headers, content=b"{}")
    assert response.status_code == 503
    assert balancer.requests_to_apps() == [f"{method} {path}"]


# --- nginx's own errors ------------------------------------------------------------------------------------

HEAD = b"Host: x\r\nConnection: close\r\n"
OWN_ERRORS = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: nonsense\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST /api/v1/media HTTP/1.1\r\n" + HEAD + b"Content-Length: 30000000\r\n\r\n", 401),
    (b"GET /metrics HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
    (b"TRACE / HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    (b"DELETE /media HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
    (b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1200000\r\n\r\n", 413),
    (b"POST /api/v1/media HTTP/1.1\r\n" + HEAD + b"Content-Length: 34000000\r\n\r\n", 413),
    (b"POST /media HTTP/1.1\r\n" + HEAD + b"Content-Length: 34000000\r\n\r\n", 413),
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 414),
    (b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431),
]
BODIES = {
    401: error_body(401, NotAuthenticated.default_code, str(NotAuthenticated.default_detail)),
    413: error_body(413, RequestTooLarge.default_code, RequestTooLarge.default_detail),
    429: error_body(429, Throttled.default_code, str(Throttled.default_detail)),
    503: error_body(503),
}


@pytest.mark.parametrize(("request_", "status"), OWN_ERRORS, ids=range(len(OWN_ERRORS)))
def test_own_errors_have_the_apis_format(balancer: Balancer, request_: bytes, status: int) -> None:
    found, headers, body = balancer.raw(request_)
    assert (found, body) == (status, BODIES.get(status) or error_body(status))
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Request-ID"]
    assert headers["Server"] == "nginx"
    assert balancer.requests_to_apps() == []


def test_without_apps_503_with_retry_after(balancer: Balancer) -> None:
    for app in balancer.apps:
        app.dies = True
    response = balancer.client.get("/api/v1/feed", headers={"X-Request-ID": "mine"})
    assert response.status_code == 503
    assert response.content == BODIES[503]
    assert response.headers["Retry-After"] == str(ServiceUnavailable.wait)
    assert response.headers["X-Request-ID"] == "mine"


def test_all_error_bodies_match_the_api(balancer: Balancer) -> None:
    """Including errors that are hard to trigger."""
    text = (PROJECT_ROOT / "deploy/nginx/snippets/errors.conf").read_text()
    for status in (400, 401, 404, 405, 408, 412, 413, 414, 416, 429, 431, 503):
        body = BODIES.get(status) or error_body(status)
        assert f"return {status} '{body.decode()}';" in text


def test_prometheus_can_read_that_nginx_answers(balancer: Balancer) -> None:
    jobs = yaml.safe_load((PROJECT_ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    (path,) = [job["metrics_path"] for job in jobs if job["job_name"] == "nginx"]
    response = balancer.client.get(path)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/plain")
    (family,) = text_string_to_metric_families(response.text)
    assert (family.name, family.samples[0].value) == ("nginx_up", 1)
    assert balancer.requests_to_apps() == []


def test_metrics_of_the_object_store_are_not_for_clients(balancer: Balancer) -> None:
    balancer.client.get("/minio/v2/metrics/cluster")
    assert balancer.store.requests == []


# --- Uploads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic eA==", "Token x", "Bearer x"])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "OPTIONS"])
def test_upload_without_a_token_is_refused_before_its_body(balancer: Balancer, method: str, value: str | None) -> None:
    sent = b"" if value is None else f"Authorization: {value}\r\n".encode()
    head = f"{method} {UPLOAD} HTTP/1.1\r\n".encode() + HEAD + sent
    for body in (b"Content-Length: 30000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
        status, headers, content = balancer.raw(head + body)
        assert (status, content) == (401, BODIES[401])
        assert headers["WWW-Authenticate"].startswith("Bearer")
    assert balancer.requests_to_apps() == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_upload_is_refused_while_no_token_can_be_verified(balancer: Balancer, status: int) -> None:
    for app in balancer.apps:
        app.token_status = status
    response = balancer.client.post(UPLOAD, content=bytes(100_000), headers=TOKEN)
    assert (response.status_code, response.content) == (503, BODIES[503])
    assert balancer.requests_to_apps() == []


def test_preflight_request_of_an_upload_needs_no_token(balancer: Balancer) -> None:
    assert balancer.client.options(UPLOAD).status_code == 200


def test_upload_of_unknown_length_reaches_an_app_whole(balancer: Balancer) -> None:
    received = balancer.request("POST", UPLOAD, content=iter([bytes(100_000)] * 3), headers=TOKEN)
    assert (received["body"], received["headers"]["Content-Length"]) == (300_000, "300000")


def begin_requests(
    stack: ExitStack,
    balancer: Balancer,
    path: str,
    *headers: str,
    allowed: int,
    length: str = "Content-Length: 1000000",
) -> None:
    """Begin requests whose bodies never end, until `allowed` of them wait and three more have been refused."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Authorization: Bearer t", length, *headers]
    connections = []
    for _ in range(allowed + 3):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", balancer.port)))
        beginning = "f\r\nx" if length == CHUNKED else "x"
        connection.sendall("\r\n".join([*lines, "", beginning]).encode())
        connections.append(connection)
    eventually(lambda: len(select.select(connections, [], [], 0)[0]) == 3)


def upload_status(client: httpx.Client, balancer: Balancer, path: str, **headers: str) -> int:
    return client.post(f"http://127.0.0.1:{balancer.port}{path}", content=b"x", headers=TOKEN | headers).status_code


@pytest.mark.parametrize("path", [UPLOAD, "/media"])
def test_client_has_four_uploads_at_once(balancer: Balancer, path: str) -> None:
    other = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.9"))
    with other, ExitStack() as stack:
        begin_requests(stack, balancer, path, allowed=4)
        assert upload_status(balancer.client, balancer, path) == 429
        assert upload_status(other, balancer, path) == 200
        assert balancer.client.get("/").status_code == 200
    eventually(lambda: upload_status(balancer.client, balancer, path) == 200)


@pytest.mark.parametrize("path", [UPLOAD, "/media"])
def test_rate_of_uploads_of_a_client_is_limited(balancer: Balancer, path: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.8")) as client:
        url = f"http://127.0.0.1:{balancer.port}{path}"
        responses = [client.post(url, headers=TOKEN) for _ in range(30)]
        assert {response.status_code for response in responses} == {200}
        further = (client.post(url, headers=TOKEN) for _ in range(1_000))
        response = next(response for response in further if response.status_code != 200)
    assert (response.status_code, response.content) == (429, BODIES[429])
    assert int(response.headers["Retry-After"]) > 0
    balancer.restart()


def test_number_of_requests_of_a_client_is_limited(balancer: Balancer) -> None:
    with ExitStack() as stack:
        begin_requests(stack, balancer, "/", allowed=100, length="Content-Length: 59999")
        assert balancer.client.get("/").status_code == 429
    eventually(lambda: balancer.client.get("/").status_code == 200)


LARGE_BODIES = ["Content-Length: 1000000", "Content-Length: 60000", "Content-Length: 00060000", CHUNKED]


@pytest.mark.parametrize("length", LARGE_BODIES)
def test_number_of_large_bodies_of_a_client_is_limited(balancer: Balancer, length: str) -> None:
    """Otherwise a client without an account could fill their space with 100 slow requests."""
    with ExitStack() as stack:
        begin_requests(stack, balancer, "/api/v1/auth/register", allowed=8, length=length)
        large = balancer.client.post("/api/v1/auth/register", content=bytes(60_000))
        assert (large.status_code, large.content) == (429, BODIES[429])
        assert balancer.client.post("/api/v1/auth/register", content=bytes(1_000)).status_code == 200
        assert balancer.client.get("/").status_code == 200
    eventually(lambda: balancer.client.post("/", content=bytes(60_000)).status_code == 200)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_requests_have_small_bodies(balancer: Balancer, method: str) -> None:
    """HTTP/2 does not say at the beginning whether there is a body, so it is not counted as large."""
    for size, status in ((50_000, 200), (70_000, 413)):
        response = balancer.client.request(method, "/", content=iter([bytes(size)]))
        assert response.status_code == status


@pytest.mark.parametrize(
    ("space", "refused", "accepted"), [("bodies", "/api/v1/posts", UPLOAD), ("uploads", UPLOAD, "/api/v1/posts")]
)
def test_without_space_for_a_body_503_with_retry_after(
    balancer: Balancer, space: str, refused: str, accepted: str
) -> None:
    """Uploads and other requests have their own space."""
    aside = balancer.files / "aside"
    (balancer.files / space).rename(aside)
    try:
        response = balancer.client.post(refused, content=bytes(100_000), headers=TOKEN)
        assert (response.status_code, response.content) == (503, BODIES[503])
        assert response.headers["Retry-After"]
        for path, size in ((accepted, 100_000), (refused, 1_000)):
            assert balancer.request("POST", path, content=bytes(size), headers=TOKEN)["body"] == size
    finally:
        aside.rename(balancer.files / space)


@pytest.mark.parametrize("query", ["delete", "delete=&x=1", "0"])
def test_upload_form_has_no_query(balancer: Balancer, query: str) -> None:
    assert balancer.client.post(f"/media?{query}", content=b"x").status_code == 405
    assert balancer.store.requests == []


def test_upload_form_has_no_other_credentials(balancer: Balancer) -> None:
    assert "Authorization" not in balancer.request("POST", "/media", content=b"x", headers=TOKEN)["headers"]


# --- Pictures ----------------------------------------------------------------------------------------------


def test_public_pictures_are_requested_without_cookies(balancer: Balancer) -> None:
    response = balancer.client.get(f"{PICTURE}?a=b", headers={"Cookie": "secret", "Host": "elsewhere.example"})
    received = response.json()
    assert received["path"] == PICTURE
    assert received["headers"]["Host"] == "object_store"
    assert "Cookie" not in received["headers"]
    assert "Set-Cookie" not in response.headers


def test_cached_cors_headers_do_not_depend_on_the_first_client(balancer: Balancer) -> None:
    path = PICTURE.replace("k", "o")
    evil_headers = {"Origin": "https://evil.example", "Accept-Encoding": "br"}
    for headers, cache in ((evil_headers, "MISS"), ({}, "HIT")):
        response = balancer.client.get(path, headers=headers)
        assert response.headers["X-Cache-Status"] == cache
        assert not {"Origin", "Accept-Encoding"} & set(response.json()["headers"])
        cors_headers = {
            name: value
            for name, value in response.headers.items()
            if name.startswith("access-control") or name == "vary"
        }
        assert cors_headers == {"access-control-allow-origin": "*"}


@pytest.mark.parametrize(
    "path", [PICTURE, f"/media/avatars/{'k' * 32}.jpg", PRIVATE, f"{PRIVATE}%0A?X-Amz-Signature=c"]
)
def test_newline_in_a_path_does_not_reach_the_object_store(balancer: Balancer, path: str) -> None:
    path = path if "%0A" in path else f"{path}%0A"
    assert balancer.client.get(path).status_code == 404
    assert balancer.store.requests == []


@pytest.mark.parametrize("path", [PRIVATE, EXPORT])
def test_signed_url_reaches_the_object_store_unchanged(balancer: Balancer, path: str) -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Signature=c"
    for _ in range(2):
        received = balancer.request("GET", f"{path}?{query}", headers={"Cookie": "secret", "Host": "example.org"})
        assert received["path"] == f"{path}?{query}"
        assert received["headers"]["Host"] == "example.org"
        assert "Cookie" not in received["headers"]
    assert len(balancer.store.requests) == 2


def test_exports_are_downloaded_in_ranges_and_not_stored(balancer: Balancer) -> None:
    received = balancer.request("GET", EXPORT, headers={"Range": "bytes=4-"})
    assert received["headers"]["Range"] == "bytes=4-"
    assert balancer.client.get(EXPORT).headers["Cache-Control"] == "private, no-store"
    before = len(balancer.store.requests)
    for path in (EXPORT.replace(".zip", ".part"), f"{EXPORT}%0A", EXPORT.replace("k", "..", 1)):
        assert balancer.client.get(path).status_code == 404
    for method in ("PUT", "DELETE", "POST"):
        assert balancer.client.request(method, f"{EXPORT}?uploadId=x").status_code == 405
    assert len(balancer.store.requests) == before


def test_without_object_store_pictures_are_503(balancer: Balancer) -> None:
    balancer.store.dies = True
    response = balancer.client.get(PRIVATE)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "service_unavailable")


# --- Behind another load balancer, and with TLS ------------------------------------------------------------


@pytest.fixture(scope="module")
def chained(nginx_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    """127.0.0.0/30 is the other load balancer's network. nginx terminates TLS as well."""
    directory = tmp_path_factory.mktemp("chained")
    (directory / "tls").mkdir()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-keyout", str(directory / "tls/privkey.pem"), "-out", str(directory / "tls/fullchain.pem")),
        ],
        check=True,
        capture_output=True,
    )
    (directory / "tls/privkey.pem").chmod(0o644)
    balancer = Balancer(directory, tls=True, TRUSTED_PROXIES="127.0.0.0/30, 2001:db8::/32")
    try:
        balancer.program.start()
        yield balancer
    finally:
        balancer.close()


def test_trusted_load_balancer_sets_client_and_scheme(chained: Balancer) -> None:
    claims = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto": "https"}
    headers = chained.request("GET", "/", headers=claims)["headers"]
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("203.0.113.9", "https")


def test_other_clients_cannot_set_client_or_scheme(chained: Balancer) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.9")
    claims = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with httpx.Client(transport=transport) as client:
        headers = client.get(f"http://127.0.0.1:{chained.port}/", headers=claims).json()["headers"]
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.9", "http")


@pytest.mark.parametrize("network", ["3fff:9:9:1:", "3fff:9:"])
def test_ipv6_network_is_one_client(chained: Balancer, network: str) -> None:
    with ExitStack() as stack:
        begin_requests(stack, chained, UPLOAD, f"X-Forwarded-For: {network}:1", allowed=4)
        forwarded = {"X-Forwarded-For": f"{network}:2"}
        assert upload_status(chained.client, chained, UPLOAD, **forwarded) == 429
        other = {"X-Forwarded-For": "3fff:9:9:2::1"}
        assert upload_status(chained.client, chained, UPLOAD, **other) == 200


def test_tls_is_terminated_here(chained: Balancer) -> None:
    trust = ssl.create_default_context(cafile=str(Path(chained.program.log).parents[1] / "tls/fullchain.pem"))
    transport = httpx.HTTPTransport(local_address="127.0.0.9", verify=trust)
    with httpx.Client(transport=transport) as client:
        response = client.get(f"https://localhost:{chained.tls_port}/")
    assert response.json()["headers"]["X-Forwarded-Proto"] == "https"
