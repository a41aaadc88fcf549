"""API calls of a user, with an access token where needed."""

from __future__ import annotations

from typing import Any

from django.test import Client

from accounts import sessions
from accounts.models import User
from accounts.tokens import Tokens
from tests.support.client_response import ClientResponse

PASSWORD = "correct horse battery"


def post(path: str, data: Any, access: str | None = None) -> ClientResponse:
    return Client().post(f"/api/v1/{path}", data, content_type="application/json", headers=bearer(access))


def get(path: str, access: str | None = None) -> ClientResponse:
    return Client().get(f"/api/v1/{path}", headers=bearer(access))


def patch(path: str, data: Any, access: str) -> ClientResponse:
    return Client().patch(f"/api/v1/{path}", data, content_type="application/json", headers=bearer(access))


def delete_me(access: str | None, body: Any = None) -> ClientResponse:
    """DELETE /me with the right password, or with another body."""
    data = {"password": PASSWORD} if body is None else body
    return Client().delete("/api/v1/me", data, content_type="application/json", headers=bearer(access))


def bearer(access: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {access}"} if access else {}


def refresh(token: Any) -> ClientResponse:
    return post("auth/token/refresh", {"refresh": token})


def start_session(user: User) -> Tokens:
    return sessions.start(user)


def is_token_accepted(access: str) -> bool:
    """Return whether an access token is accepted."""
    status = get("me", access).status_code
    assert status in (200, 401)
    return status == 200
