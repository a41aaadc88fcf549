"""Every error under /api/ has the API's error format."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from tests.support.error_shape import assert_error

pytestmark = pytest.mark.urls("tests.support.urls")


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("crash", 500, "error"),
        ("bare-failure", 500, "error"),
        ("no-database", 503, "service_unavailable"),
        ("404-django", 404, "not_found"),
        ("404-drf", 404, "not_found"),
        ("bare-404", 404, "not_found"),
        ("unknown", 404, "not_found"),
        ("403", 403, "permission_denied"),
        ("conflict", 409, "conflict"),
        ("integrity", 409, "conflict"),
        ("data", 400, "invalid"),
        ("too-big", 413, "request_too_large"),
        ("suspicious", 400, "parse_error"),
        ("echo", 405, "method_not_allowed"),
        ("with-token", 401, "not_authenticated"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_every_failure_has_the_error_format(
    client: Client, settings: Settings, path: str, status: int, code: str, debug: bool
) -> None:
    settings.DEBUG = debug
    assert_error(client.get(f"/api/v1/{path}"), status, code)


@pytest.mark.parametrize("debug", [False, True])
def test_an_unknown_host_is_a_400(client: Client, settings: Settings, debug: bool) -> None:
    settings.DEBUG = debug
    assert_error(client.get("/api/v1/echo", headers={"host": "evil.example"}), 400, "bad_request")


def test_all_404s_are_the_same_bytes(client: Client) -> None:
    paths = ("404-django", "404-drf", "bare-404", "unknown", "un/known/", "%00", "%ff%fe", "%ed%a0%80")
    assert len({client.get(f"/api/v1/{path}").content for path in paths}) == 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "trace"])
def test_unknown_paths_are_404_by_any_method(method: str) -> None:
    client = Client(enforce_csrf_checks=True)
    assert_error(getattr(client, method)("/api/v1/unknown"), 404, "not_found")


def test_head_returns_the_status_without_a_body(client: Client) -> None:
    response = client.head("/api/v1/unknown")
    assert (response.status_code, response.content) == (404, b"")


def test_options_returns_200(client: Client) -> None:
    assert client.options("/api/v1/echo").status_code == 200


def test_405_lists_the_allowed_methods(client: Client) -> None:
    assert "POST" in client.get("/api/v1/echo")["Allow"]


def test_503_has_a_retry_after_header(client: Client) -> None:
    assert client.get("/api/v1/no-database")["Retry-After"] == "2"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["nul", "big"])
def test_values_that_postgresql_cannot_store_are_a_400(client: Client, path: str) -> None:
    assert_error(client.get(f"/api/v1/{path}"), 400, "invalid")


def test_an_accept_header_without_json_is_a_406(client: Client) -> None:
    assert_error(client.post("/api/v1/echo", headers={"accept": "text/html"}), 406)


@pytest.mark.parametrize(("path", "status"), [("/bare-failure", 500), ("/elsewhere", 404)])
def test_errors_outside_the_api_are_short_plain_text(client: Client, path: str, status: int) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/plain")
    assert len(response.content) < 50
    assert b"secret" not in response.content


def test_content_length_matches_the_body(client: Client) -> None:
    response = client.get("/api/v1/bare-failure")
    assert response["Content-Length"] == str(len(response.content))
