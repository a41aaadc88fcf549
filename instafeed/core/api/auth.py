"""Who asks."""

from __future__ import annotations

from rest_framework.request import Request


def viewer_id(request: Request) -> int | None:
    """The id of whoever is signed in; None for the anonymous."""
    user_id: int | None = request.user.pk
    return user_id
