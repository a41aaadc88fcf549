"""The requesting user."""

from __future__ import annotations

from rest_framework.request import Request


def viewer_id(request: Request) -> int | None:
    """Return the signed-in user's id; None for an anonymous request."""
    user_id: int | None = request.user.pk
    return user_id
