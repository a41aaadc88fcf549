"""The first round trip to Redis of a request, which reads all that depends on its token and URL only.

Authentication sends it: the state of the account, the count of the user's requests and, of views with
`early_commands`, what they read first. The code that needs a reply takes it from the request; without one, because
Redis failed or nothing was read early, it reads for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from instafeed.core.cache import commands
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command

_ATTRIBUTE = "early_replies"  # of the HttpRequest


def read(request: Request, view: Any, user_id: int, named: Mapping[str, Command]) -> None:
    """Send `named` and the commands of the view, and keep their replies by name, for `take`.

    A view may have `early_commands(request, user_id)`, which returns commands by name. When it is called the user is
    not authenticated yet, and the request is not validated.
    """
    if early_commands := getattr(view, "early_commands", None):
        named = {**named, **early_commands(request, user_id)}
    try:
        replies = commands.run(list(named.values()))
    except CacheUnavailable:
        return
    vars(_plain(request))[_ATTRIBUTE] = dict(zip(named, replies, strict=True))


def take(request: Request | HttpRequest, name: str) -> Any:
    """Return a reply, once; afterwards and without one, None."""
    replies: dict[str, Any] = vars(_plain(request)).get(_ATTRIBUTE, {})
    return replies.pop(name, None)


def _plain(request: Request | HttpRequest) -> HttpRequest:
    return getattr(request, "_request", request)
