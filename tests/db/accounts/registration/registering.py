"""Register over the API, and create invites in each state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from accounts import invites
from accounts.models import Invite
from accounts.operator_actions import SHELL
from tests.db.accounts.auth_client import PASSWORD
from tests.support.client_response import ClientResponse

NO_INVITE, VALID, WRONG, EXPIRED, USED_UP, REVOKED = "none", "valid", "wrong", "expired", "used up", "revoked"
INVALID = (WRONG, EXPIRED, USED_UP, REVOKED)


def register(username: str = "alice", address: str = "198.51.100.7", **fields: Any) -> ClientResponse:
    """Register from a client's network address. Fields that are `...` are left out."""
    body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD, **fields}
    response: ClientResponse = Client(REMOTE_ADDR=address).post(
        "/api/v1/auth/register",
        {name: value for name, value in body.items() if value is not ...},
        content_type="application/json",
    )
    return response


def create_invite(max_uses: int = 1) -> Invite:
    return invites.create(SHELL, max_uses=max_uses, expires_at=invites.in_days(1))


def typed_code(state: str) -> Any:
    """Return the code of a new invite in this state, as a user types it; `...` for no code."""
    if state == NO_INVITE:
        return ...
    invite = create_invite()
    code = invites.format_code(invite)
    past = timezone.now() - timedelta(seconds=1)
    changes: dict[str, dict[str, Any]] = {
        VALID: {},
        WRONG: {},
        EXPIRED: {"expires_at": past},
        USED_UP: {"uses": 1},
        REVOKED: {"revoked_at": past},
    }
    Invite.objects.filter(pk=invite.pk).update(**changes[state] or {"note": ""})
    return code[:-1] + ("a" if code[-1] != "a" else "b") if state == WRONG else code
