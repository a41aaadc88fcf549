"""The id that connects a request with its log lines and the tasks it starts.

Taken from `X-Request-ID` if that is well-formed, otherwise generated. It is set on every response and in
structlog's context, where every log line finds it. Task publishers read it with `current_request_id()`.
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
    """Return the id of the current request, or of the request that started the current task; else an empty text."""
    return str(get_contextvars().get("request_id", ""))


class RequestIdMiddleware:
    """Set the request's id. The outermost middleware, so that responses of other middleware carry the id too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get(HEADER, "")
        request_id = offered if _REQUEST_ID_PATTERN.fullmatch(offered) else uuid4().hex
        request.META[META_KEY] = request_id  # code that reads the header gets the id, not a malformed value
        tokens = bind_contextvars(request_id=request_id)
        try:
            response = self.get_response(request)
        finally:
            reset_contextvars(**tokens)
        response[HEADER] = request_id
        return response
