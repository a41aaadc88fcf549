"""The id that ties a request to its log lines and to the tasks it starts.

Taken from `X-Request-ID` where that is sane, else made here; on every answer, and in a context variable
that loggers and task publishers read through `current_request_id()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from uuid import uuid4

from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
META_KEY = "HTTP_X_REQUEST_ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """The id of the request being answered, or that a task was started by; empty outside of both."""
    return _current.get()


def use_request_id(request_id: str) -> None:
    """Work for that request from here on, outside of web requests; empty for none."""
    _current.set(request_id)


class RequestIdMiddleware:
    """Outermost, so that answers made by other middleware carry the id too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get(HEADER, "")
        request_id = offered if _SANE.fullmatch(offered) else uuid4().hex
        request.META[META_KEY] = request_id  # what reads the header gets the id, not an insane offer
        token = _current.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            _current.reset(token)
        response[HEADER] = request_id
        return response
