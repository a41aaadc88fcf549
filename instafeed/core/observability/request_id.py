"""The id that ties a request to its log lines and to the tasks it starts.

Taken from `X-Request-ID` where that is sane, else made here; on every answer, and in structlog's context, from
which every log line takes it, and task publishers by `current_request_id()`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

HEADER = "X-Request-ID"
META_KEY = "HTTP_X_REQUEST_ID"
_REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")


def current_request_id() -> str:
    """The id of the request being answered, or that a task was started by; empty outside of both."""
    return str(get_contextvars().get("request_id", ""))


def use_request_id(request_id: str) -> None:
    """Work for that request from here on, outside of web requests; empty for none."""
    bind_contextvars(request_id=request_id)


class RequestIdMiddleware:
    """Outermost, so that answers made by other middleware carry the id too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get(HEADER, "")
        request_id = offered if _REQUEST_ID_PATTERN.fullmatch(offered) else uuid4().hex
        request.META[META_KEY] = request_id  # what reads the header gets the id, not an insane offer
        outer = bind_contextvars(request_id=request_id)
        try:
            response = self.get_response(request)
        finally:
            reset_contextvars(**outer)
        response[HEADER] = request_id
        return response
