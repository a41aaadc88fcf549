"""Opens the replica session around each request, and keeps the position of what it wrote."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from instafeed.core.db.replicas import read_your_writes, session

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
_ADMIN_PREFIX = "/admin/"


class ReplicaMiddleware:
    """Reads of safe requests may use a replica, those of unsafe ones and of the admin may not.

    The session is ended whatever happens, and a streamed body is made after it: from the primary.
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
            # Before the answer leaves: its reader may send the next request at once, to another process.
            try:
                read_your_writes.record_write_position(state)
            finally:
                session.end_session()
