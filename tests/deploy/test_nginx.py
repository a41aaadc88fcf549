"""nginx in front of fake apps: forwarded headers, retries, its own errors, pictures."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from instafeed.core.api.errors import ServiceUnavailable, error_body
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy.balancer import (
    BODIES,
    EXPORT,
    HEAD,
    PICTURE,
    PRIVATE,
    TOKEN,
    UPLOAD,
    Balancer,
    begin_requests,
    upload_status,
)

pytestmark = pytest.mark.xdist_group("nginx")


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


def test_streams_are_sent_to_the_process_for_them(balancer: Balancer) -> None:
    received = balancer.request("GET", "/api/v1/stream", headers={"X-Forwarded-For": "6.6.6.6", "Last-Event-ID": "7"})
    assert balancer.stream.requests == ["GET /api/v1/stream"]
    assert balancer.requests_to_apps() == []
    headers = {name.lower(): value for name, value in received["headers"].items()}
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["last-event-id"] == "7"
    assert headers["x-request-id"]
    assert balancer.client.post("/api/v1/stream").status_code == 405


def test_without_the_process_for_streams_503_with_retry_after(balancer: Balancer) -> None:
    balancer.stream.dies = True
    response = balancer.client.get("/api/v1/stream")
    assert (response.status_code, response.content) == (503, BODIES[503])
    assert response.headers["Retry-After"]


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
    ("POST", "/api/v1/push/subscriptions", {}),
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


def test_file_that_one_app_lacks_comes_from_the_other(balancer: Balancer) -> None:
    first, second = balancer.apps
    for app, other in ((first, second), (second, first)):
        app.status, other.status = 404, 200
        paths = ("/static/main.0a1b2c.js", "/p/1")
        found, page = ([balancer.client.get(path).status_code for _ in range(4)] for path in paths)
        assert found == [200] * 4
        assert 404 in page, "only files are asked for twice"


# --- nginx's own errors ------------------------------------------------------------------------------------

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
def chained(nginx_directory: Path) -> Iterator[Balancer]:
    """127.0.0.0/30 is the other load balancer's network. nginx terminates TLS as well."""
    directory = nginx_directory / "chained"
    (directory / "tls").mkdir(parents=True)
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
    with httpx.Client(transport=transport, timeout=60) as client:
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
    with httpx.Client(transport=transport, timeout=60) as client:
        response = client.get(f"https://localhost:{chained.tls_port}/")
    assert response.json()["headers"]["X-Forwarded-Proto"] == "https"
