"""Open a replica session around each request, and record the WAL position of its writes."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from instafeed.core.db.replicas import read_your_writes, session

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
_ADMIN_PREFIX = "/admin/"


class ReplicaMiddleware:
    """Let reads of safe requests use a replica; unsafe requests and the admin read from the primary.

    The session always ends with this middleware, so a streamed body reads from the primary.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session.end_session()
        if request.path_info.startswith(_ADMIN_PREFIX):
            return self.get_response(request)
        state = session.begin_session(is_write=request.method not in _SAFE_METHODS)
        try:
            return self.get_response(request)
        finally:
            # Before the response is sent: its client may send the next request to another process at once.
            try:
                read_your_writes.record_write_position(state)
            finally:
                session.end_session()
