"""Who asks."""

from __future__ import annotations

from rest_framework.request import Request


def viewer_id(request: Request) -> int | None:
    """The id of whoever is signed in; None for the anonymous."""
    user_id: int | None = request.user.pk
    return user_id


def own_id(request: Request) -> int:
    """The id of whoever is signed in, in a view that lets nobody else in."""
    user_id: int | None = request.user.pk
    if user_id is None:
        raise RuntimeError("a view that needs a user let an anonymous request in")
    return user_id
