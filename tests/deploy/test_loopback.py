"""The whole deployment of docker-compose.yml on one machine, seen by clients through nginx."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from deploy.loopback.deployment import Deployment
from instafeed.core.api.errors import RequestTooLarge
from instafeed.devstack.child_process import Child
from instafeed.devstack.ports import free_port
from tests.deploy.client_load import ClientLoad
from tests.support.event_stream import EventStream
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.pictures import jpeg

pytestmark = [pytest.mark.xdist_group("loopback"), pytest.mark.timeout(600)]

FRESH = 2  # seconds before a cached picture is revalidated
REGISTRATIONS = 30  # per hour and address
SETTINGS = {
    "MEDIA_CACHE_FRESH": f"{FRESH}s",
    "THROTTLE_REGISTER": f"{REGISTRATIONS}/hour",
    "THROTTLE_USER": "off",
    "THROTTLE_POST": "off",
    "WEB_WORKERS": "1",
    # As many as the clients of ClientLoad need: a request that waits too long for a thread is refused, which would be a
    # failure in the tests that allow none.
    "WEB_THREADS": "6",
    "LOG_REQUESTS": "all",
}


class Site(Deployment):
    """A deployment with an HTTP client connected to nginx."""

    client: httpx.Client

    def line_of(self, request_id: str) -> dict[str, Any]:
        """Return the log line of a request. It is written shortly after the response."""
        lines: list[str] = []

        def is_logged() -> bool:
            text = (self.root / "log" / "nginx.log").read_text()
            lines[:] = [line for line in text.splitlines() if request_id in line]
            return bool(lines)

        eventually(is_logged)
        line: dict[str, Any] = json.loads(lines[0])
        assert line["request_id"] == request_id
        return line

    def wait_for(self, name: str) -> None:
        """Wait until the app answers and nginx uses it again, which it does only after its fail_timeout."""
        app = self.programs[name]
        app.wait_ready(240)

        def is_used() -> bool:
            request_id = uuid4().hex
            assert self.client.get("/health/live", headers={"X-Request-ID": request_id}).status_code == 200
            return bool(self.line_of(request_id)["upstream"] == f"127.0.0.1:{app.port}")

        eventually(is_used)


@pytest.fixture(scope="module")
def site(nginx_program: str) -> Iterator[Site]:
    # Not tmp_path, which later pytest sessions may remove.
    with (
        tempfile.TemporaryDirectory(prefix="instafeed-loopback-", ignore_cleanup_errors=True) as directory,
        Site(Path(directory), free_port(), variables=SETTINGS) as site,
        httpx.Client(base_url=site.base_url, timeout=60, trust_env=False) as site.client,
    ):
        yield site


@pytest.fixture(scope="module")
def author(site: Site) -> HttpUser:
    return HttpUser(site)


def upload(actor: HttpUser, content: bytes | None = None) -> dict[str, Any]:
    """Upload a picture and wait until it is processed."""
    response = actor.call("POST", "/media", files={"file": ("a.jpg", content or jpeg(), "image/jpeg")})
    assert response.status_code == 202, response.text
    path = f"/media/{response.json()['id']}"
    eventually(lambda: actor.get(path)["status"] == "ready")
    return dict(actor.get(path))


def path_of(url: str) -> str:
    """Return a URL's path and query, to request it from this site."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def client_with_address(stack: ExitStack, site: Site, number: int) -> httpx.Client:
    """Return a client with its own local address."""
    transport = httpx.HTTPTransport(local_address=f"127.0.0.{number}")
    return stack.enter_context(httpx.Client(base_url=site.base_url, transport=transport, timeout=60, trust_env=False))


# --- The load balancer -----------------------------------------------------------------------------------


def test_both_apps_answer(site: Site) -> None:
    """About in turn. nginx does not use an app for two seconds after it took too long."""
    apps = [f"127.0.0.1:{site.programs[name].port}" for name in ("api-1", "api-2")]

    def is_balanced() -> bool:
        ids = [uuid4().hex for _ in range(20)]
        for request_id in ids:
            assert site.client.get("/health/live", headers={"X-Request-ID": request_id}).status_code == 200
        served = Counter(site.line_of(request_id)["upstream"] for request_id in ids)
        return sorted(served) == sorted(apps) and min(served.values()) >= 5

    eventually(is_balanced)


def test_no_request_fails_while_an_app_dies_or_restarts(site: Site) -> None:
    author = HttpUser(site)  # whose posts are counted
    readers = [HttpUser(site) for _ in range(2)]
    for reader in readers:
        reader.follow(author)
    post = author.create_post()
    with ClientLoad(author, readers, post) as load:
        load.wait_for_responses(20)
        site.programs["api-1"].kill()
        load.wait_for_responses(40)
        site.programs["api-1"].launch()
        site.wait_for("api-1")
        for name in ("api-2", "api-1"):
            site.programs[name].stop()
            site.programs[name].launch()
            site.wait_for(name)
        reload_workers(site.programs["api-2"])
        load.wait_for_responses(20)
    assert load.failures == []
    captions = Counter(each["caption"] for each in posts_of(author) if each["id"] != post)
    assert captions == Counter(load.keys), "each post exists once"
    eventually(lambda: author.get(f"/posts/{post}")["like_count"] == 0)


def reload_workers(app: Child) -> None:
    """Send SIGHUP to gunicorn and wait until other workers have replaced the present ones."""
    workers = set(app.tree()[1:])
    os.kill(app.pid, signal.SIGHUP)
    eventually(lambda: len(app.tree()) > 1 and not workers.intersection(app.tree()))


def posts_of(actor: HttpUser) -> list[dict[str, Any]]:
    posts, url = [], f"/users/{actor.username}/posts?limit=100"
    while url:
        page = actor.get(url)
        posts += page["results"]
        url = page["next"]
    return posts


def test_slow_uploads_hold_no_thread_of_the_apps(site: Site, author: HttpUser) -> None:
    """They come from several addresses, as nginx limits the uploads of each."""
    token = author.headers["Authorization"]
    lines = ["POST /api/v1/media HTTP/1.1", "Host: localhost", f"Authorization: {token}", "Content-Length: 1000000"]
    head = "\r\n".join([*lines, "", ""]).encode()
    with ExitStack() as stack:
        addresses = [(f"127.0.0.{60 + number % 4}", 0) for number in range(16)]
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), source_address=address))
            for address in addresses
        ]
        for connection in slow:
            connection.sendall(head + b"x" * 1000)
        for _ in range(10):
            for connection in slow:
                connection.sendall(b"x")  # nginx gives up an upload that stands still
            assert author.call("GET", "/me").status_code == 200
        assert select.select(slow, [], [], 0)[0] == [], "none is answered, so all still wait for the rest"


def test_upload_with_an_invalid_token_is_refused_before_its_body(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(
            b"POST /api/v1/media HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Authorization: Bearer x\r\nContent-Length: 30000000\r\n\r\n"
        )
        status, *headers = iter(connection.makefile("rb").readline, b"\r\n")
    assert status.startswith(b"HTTP/1.1 401 ")
    assert sum(header.startswith(b"WWW-Authenticate: ") for header in headers) == 1


def test_rate_limits_use_the_address_that_nginx_sees(site: Site) -> None:
    """Forwarding headers of the client have no effect. An empty form is counted and refused."""
    with ExitStack() as stack:
        client, other = client_with_address(stack, site, 77), client_with_address(stack, site, 78)
        responses = [
            client.post(
                "/api/v1/auth/register",
                json={},
                headers={
                    "X-Forwarded-For": f"10.9.8.{number}",
                    "X-Real-IP": f"10.9.8.{number}",
                    "Forwarded": f"for=10.9.8.{number}",
                },
            ).status_code
            for number in range(REGISTRATIONS + 1)
        ]
        assert responses == [400] * REGISTRATIONS + [429]
        assert other.post("/api/v1/auth/register", json={}).status_code == 400


@pytest.mark.parametrize("name", ["X-Forwarded-Proto", "X-Forwarded-Ssl", "X-Forwarded-Protocol", "X-Forwarded-Host"])
def test_client_headers_cannot_set_scheme_or_host(site: Site, author: HttpUser, name: str) -> None:
    value = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"}.get(name, "evil")
    response = site.client.get("/api/v1/explore?limit=1", headers=author.headers | {name: value})
    assert response.status_code == 200, response.text
    assert "Strict-Transport-Security" not in response.headers


def test_metrics_are_not_for_clients(site: Site) -> None:
    for path in ("/metrics", "//metrics", "/%6detrics", "/x/../metrics"):
        assert raw_get(site, path) == 404
    port = site.programs["api-1"].port
    assert "instafeed_" in httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).text


def raw_get(site: Site, path: str) -> int:
    """Request a path unchanged; httpx would normalize it."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return int(connection.makefile("rb").read().split()[1])


def test_unknown_host_is_refused(site: Site) -> None:
    response = site.client.get("/api/v1/explore", headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert response.json()["type"] == "client_error"


def test_streams_pass_through_nginx_at_once(site: Site, author: HttpUser) -> None:
    url = f"{site.base_url}{site.client.get('/api/v1/instance').json()['stream_url'].removeprefix(site.base_url)}"
    with EventStream(url, author.headers).wait_until_begun() as stream:
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        post_id = author.create_post()
        eventually(lambda: stream.last_event_id == post_id)


def test_request_id_is_kept_or_replaced(site: Site) -> None:
    for path in ("/health/live", "/metrics"):
        assert site.client.get(path, headers={"X-Request-ID": "of-mine.1"}).headers["X-Request-ID"] == "of-mine.1"
        made = site.client.get(path, headers={"X-Request-ID": "not sane"}).headers["X-Request-ID"]
        assert len(made) == 32
        site.line_of(made)


def test_large_json_is_compressed(site: Site) -> None:
    response = site.client.get(
        "/schema", headers={"Accept-Encoding": "gzip", "Accept": "application/vnd.oai.openapi+json"}
    )
    assert response.headers["Content-Encoding"] == "gzip"
    assert "/api/v1/feed" in response.json()["paths"]


# --- Uploads ---------------------------------------------------------------------------------------------


def test_maximum_upload_size(site: Site, author: HttpUser) -> None:
    largest = 20 * 2**20
    picture = jpeg()
    picture += bytes(largest - len(picture))
    assert author.call("POST", "/media", files={"file": ("a.jpg", picture, "image/jpeg")}).status_code == 202
    response = author.call("POST", "/media", files={"file": ("a.jpg", picture + b"x", "image/jpeg")})
    assert response.status_code == 413


@pytest.mark.parametrize(("path", "size"), [("/media", 33 * 2**20), ("/posts", 2 * 2**20)])
def test_nginx_refuses_oversized_bodies(site: Site, author: HttpUser, path: str, size: int) -> None:
    headers = author.headers | {"X-Request-ID": f"too-large{path.replace('/', '-')}"}
    with httpx.Client(base_url=f"{site.base_url}/api/v1", timeout=60, trust_env=False) as client:
        response = client.post(path, content=bytes(size), headers=headers)
    assert response.status_code == 413
    (error,) = response.json()["errors"]
    assert (error["code"], error["detail"]) == ("request_too_large", RequestTooLarge.default_detail)
    assert site.line_of(headers["X-Request-ID"])["upstream"] == ""


# --- Pictures --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture(author: HttpUser) -> str:
    """The path of a public picture."""
    return path_of(upload(author, jpeg(1200, 900))["url"])


def test_public_picture_is_cached_and_revalidated(site: Site, author: HttpUser) -> None:
    picture = path_of(upload(author, jpeg(1200, 900))["url"])  # not requested before
    assert picture.startswith("/media/public/")
    first = site.client.get(picture)
    assert first.headers["X-Cache-Status"] == "MISS"
    second = fresh(site, picture + "?utm=x")
    assert first.content == second.content
    assert Image.open(BytesIO(second.content)).size == (1080, 810)
    assert second.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert second.headers["Content-Type"] == "image/webp"
    assert second.headers["X-Content-Type-Options"] == "nosniff"
    statuses: list[str] = []

    def is_revalidated() -> bool:
        third = site.client.get(picture)
        assert third.content == first.content
        statuses.append(third.headers["X-Cache-Status"])
        return statuses[-1] != "HIT"

    eventually(is_revalidated)
    assert statuses[-1] == "REVALIDATED"


def fresh(site: Site, path: str, **headers: str) -> httpx.Response:
    """Return an answer from the cache alone. Others are revalidated, as what it has is fresh for a moment only."""
    answers: list[httpx.Response] = []

    def is_fresh() -> bool:
        answers.append(site.client.get(path, headers=headers))
        assert answers[-1].headers["X-Cache-Status"] in ("HIT", "REVALIDATED")
        return answers[-1].headers["X-Cache-Status"] == "HIT"

    eventually(is_fresh)
    return answers[-1]


def test_cache_supports_validators_and_ranges(site: Site, picture: str) -> None:
    whole = site.client.get(picture)
    same = fresh(site, picture, **{"If-None-Match": whole.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert site.client.get(picture, headers={"If-None-Match": '"another"'}).status_code == 200
    part = fresh(site, picture, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.content)}"
    beyond = site.client.get(picture, headers={"Range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416
    head = site.client.head(picture)
    assert (head.status_code, int(head.headers["Content-Length"])) == (200, len(whole.content))


def test_range_request_of_an_uncached_picture(site: Site, author: HttpUser) -> None:
    path = path_of(upload(author)["url"])
    part = site.client.get(path, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.headers["X-Cache-Status"]) == (206, "MISS")
    assert part.content == site.client.get(path).content[2:6]


def test_deleted_picture_leaves_the_cache_in_time(site: Site, author: HttpUser) -> None:
    media = upload(author)
    path = path_of(media["url"])
    for _ in range(2):
        assert site.client.get(path).status_code == 200
    assert author.call("DELETE", f"/media/{media['id']}").status_code == 204
    store = f"http://127.0.0.1:{site.programs['minio'].port}{path}"
    eventually(lambda: httpx.get(store, trust_env=False, timeout=60).status_code != 200)
    deleted = time.monotonic()

    def is_gone() -> bool:
        asked = time.monotonic()
        if site.client.get(path).status_code != 200:
            return True
        assert asked - deleted <= FRESH + 1, "nginx counts in whole seconds"
        return False

    eventually(is_gone)


def test_private_picture_needs_a_signed_url_and_is_not_cached(site: Site) -> None:
    owner = HttpUser(site)
    media = upload(owner)
    public = path_of(media["url"])
    assert site.client.get(public).status_code == 200
    assert owner.call("PATCH", "/me", json={"is_private": True}).status_code == 200
    eventually(lambda: "/private/" in owner.get(f"/media/{media['id']}")["url"])
    signed = path_of(owner.get(f"/media/{media['id']}")["url"])
    for _ in range(2):
        response = site.client.get(signed)
        assert (response.status_code, response.headers.get("X-Cache-Status")) == (200, None), response.text
        assert response.headers["Cache-Control"].startswith("private")
    unsigned = signed.partition("?")[0]
    for path in (unsigned, unsigned + "?x=1"):
        response = site.client.get(path)
        assert response.status_code == 403
        assert response.headers["Cache-Control"] == "private"
    eventually(lambda: site.client.get(public).status_code != 200)


def test_signed_request_for_a_public_picture_bypasses_the_cache(site: Site, picture: str) -> None:
    site.client.get(picture)
    for more in ({"params": {"X-Amz-Signature": "x"}}, {"headers": {"Authorization": "AWS4-HMAC-SHA256 x"}}):
        response = site.client.get(picture, **more)  # type: ignore[arg-type]
        assert "X-Cache-Status" not in response.headers
        assert response.headers["Cache-Control"] == "private"


def test_a_direct_upload_goes_through(site: Site, author: HttpUser) -> None:
    content = jpeg(300, 200)
    asked = {"filename": "a.jpg", "content_type": "image/jpeg", "size": len(content)}
    made = author.call("POST", "/media/uploads", json=asked).json()
    form = made["upload"]
    assert path_of(form["url"]) == "/media"
    sent = site.client.post("/media", data=form["fields"], files={"file": ("a.jpg", content, "image/jpeg")})
    assert sent.status_code == 204, sent.text
    assert author.call("POST", f"/media/{made['id']}/complete").status_code == 202
    eventually(lambda: author.get(f"/media/{made['id']}")["status"] == "ready")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/media", 405),
        ("GET", "/media/", 404),
        ("GET", "/media/?list-type=2", 404),
        ("GET", f"/media/incoming/{'x' * 32}", 404),
        ("POST", "/media/?delete", 404),
        ("PUT", f"/media/public/{'x' * 32}/1080.webp", 405),
        ("DELETE", f"/media/private/{'x' * 32}/1080.webp", 405),
        ("PUT", f"/media/public/{'x' * 32}/1080.html", 404),
        ("GET", f"/media/public/../incoming/{'x' * 32}", 404),
    ],
)
def test_other_calls_to_the_object_store_are_refused(site: Site, method: str, path: str, status: int) -> None:
    response = site.client.request(method, path)
    assert response.status_code == status
    assert site.line_of(response.headers["X-Request-ID"])["upstream"] == ""


# --- Operators -------------------------------------------------------------------------------------------


def test_nginx_log_has_no_paths_addresses_or_secrets(site: Site) -> None:
    site.client.get("/api/v1/users/somebody?token=sesame", headers={"Authorization": "Bearer sesame"})
    with ExitStack() as stack:
        client_with_address(stack, site, 99).get(f"/media/private/{'x' * 32}/1080.webp?X-Amz-Signature=sesame")
    raw_get(site, "/sesame\x01")
    text = (site.root / "log" / "nginx.log").read_text()
    for word in ("sesame", "somebody", "127.0.0.99", "private/"):
        assert word not in text


def test_error_is_one_line(nginx_program: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "deploy.loopback", "--data-dir", str(tmp_path), "--port"]
        ended = subprocess.run([*command, str(taken.getsockname()[1])], capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("loopback: port ")
    assert ended.stderr.count("\n") == 1
