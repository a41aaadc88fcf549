"""The first round trip to Redis of a request, which reads all that depends on its token and URL only.

Authentication sends it: the state of the account, the count of the user's requests and, of views with
`early_commands`, what they read first. The code that needs a reply takes it from the request; without one, because
Redis failed or nothing was read early, it reads for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from django.http import HttpRequest
from rest_framework.request import Request

from instafeed.core.cache import commands
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command

_ATTRIBUTE = "early_replies"  # of the HttpRequest


@runtime_checkable
class ReadsEarly(Protocol):
    """A view that adds reads to the first round trip."""

    def early_commands(self, request: Request, user_id: int) -> Mapping[str, Command]:
        """Return commands by name. The user is not authenticated yet, and the request is not validated."""


def read(request: Request, named: Mapping[str, Command]) -> None:
    """Send these commands and keep their replies by name, for `take`."""
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
