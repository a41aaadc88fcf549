"""nginx and uploads: who may send a body, and how many, how large and how fast."""

from __future__ import annotations

from contextlib import ExitStack

import httpx
import pytest

from tests.deploy.balancer import BODIES, CHUNKED, HEAD, TOKEN, UPLOAD, Balancer, begin_requests, upload_status
from tests.support.eventually import eventually

pytestmark = pytest.mark.xdist_group("nginx")


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


@pytest.mark.parametrize("path", [UPLOAD, "/media"])
def test_client_has_four_uploads_at_once(balancer: Balancer, path: str) -> None:
    other = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.9"), timeout=60)
    with other, ExitStack() as stack:
        begin_requests(stack, balancer, path, allowed=4)
        assert upload_status(balancer.client, balancer, path) == 429
        assert upload_status(other, balancer, path) == 200
        assert balancer.client.get("/").status_code == 200
    eventually(lambda: upload_status(balancer.client, balancer, path) == 200)


@pytest.mark.parametrize("path", [UPLOAD, "/media"])
def test_rate_of_uploads_of_a_client_is_limited(balancer: Balancer, path: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.8"), timeout=60) as client:
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
