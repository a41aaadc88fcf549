"""Responses under /api/ are not stored by caches, and say that they depend on the token."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.support.api_user import ApiUser
from tests.support.client_response import ClientResponse

pytestmark = pytest.mark.django_db


def vary(response: ClientResponse) -> set[str]:
    return {name.strip().lower() for name in response.headers.get("Vary", "").split(",")}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/me", 200),
        ("get", "/me/export", 200),
        ("get", "/feed", 200),
        ("patch", "/me", 200),
        ("get", "/users/unknown", 404),
        ("get", "/posts/x", 404),
        ("put", "/me", 405),
    ],
)
def test_responses_that_read_the_token_are_private(method: str, path: str, status: int) -> None:
    response = ApiUser().call(method, path, {} if method == "patch" else None)
    assert response.status_code == status
    assert response["Cache-Control"] == "private, no-store"
    assert "authorization" in vary(response)


def test_public_reads_depend_on_the_token_too() -> None:
    post_id = ApiUser().create_post()
    for path, status in ((f"posts/{post_id}", 200), ("feed", 401)):
        response = Client().get(f"/api/v1/{path}")
        assert (response.status_code, response["Cache-Control"]) == (status, "private, no-store")
        assert "authorization" in vary(response)


def test_tokens_are_not_stored() -> None:
    data = {"username": "grace", "email": "grace@example.org", "password": "nanoseconds, 11.8 inch"}
    responses = [Client().post(f"/api/v1/auth/{path}", data, "application/json") for path in ("register", "token")]
    assert [response.status_code for response in responses] == [201, 200]
    for response in responses:
        assert response["Cache-Control"] == "private, no-store"
        assert "authorization" not in vary(response), "the token is not read"


def test_errors_outside_of_views_are_not_stored() -> None:
    responses = [Client().get("/api/v1/no-such-path"), Client().get("/api/v1/me", headers={"host": "evil.example"})]
    assert [response.status_code for response in responses] == [404, 400]
    assert {response["Cache-Control"] for response in responses} == {"private, no-store"}
