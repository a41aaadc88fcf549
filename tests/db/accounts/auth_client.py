"""API calls of a user, with an access token where needed."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.test import Client

from accounts import sessions
from accounts.models import User
from accounts.tokens import Tokens

PASSWORD = "correct horse battery"


def post(path: str, data: Any, access: str | None = None, **meta: str) -> HttpResponse:
    return Client().post(f"/api/v1/{path}", data, content_type="application/json", headers=bearer(access), **meta)


def get(path: str, access: str | None = None) -> HttpResponse:
    return Client().get(f"/api/v1/{path}", headers=bearer(access))


def patch(path: str, data: Any, access: str) -> HttpResponse:
    return Client().patch(f"/api/v1/{path}", data, content_type="application/json", headers=bearer(access))


def bearer(access: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {access}"} if access else {}


def refresh(token: Any) -> HttpResponse:
    return post("auth/token/refresh", {"refresh": token})


def start_session(user: User) -> Tokens:
    return sessions.start(user)


def is_token_accepted(access: str) -> bool:
    """Return whether an access token is accepted."""
    status = get("me", access).status_code
    assert status in (200, 401)
    return status == 200
