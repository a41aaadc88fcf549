"""Each request: how long it took, in the metrics, and a line in the log where it is worth one.

A line has the route, never the path, and nothing that the client sent. A request that writes has one at INFO, a slow
one at WARNING, an answer of 5xx at ERROR, with the traceback if there is one; `LOG_REQUESTS` says what else does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from instafeed.core.api.errors import api_not_found
from instafeed.core.observability.logging_config import REQUEST_ERRORS_ATTRIBUTE
from instafeed.core.observability.metrics import REQUEST_SECONDS, REQUESTS_IN_PROGRESS

SLOW_REQUEST_SECONDS = 1.0  # seconds
UNMATCHED_ROUTE = "unmatched"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_KNOWN_METHODS = (*_SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
logger = logging.getLogger(__name__)


class RequestLogMiddleware:
    """Outside of whatever takes time or may fail."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        setattr(request, REQUEST_ERRORS_ATTRIBUTE, [])
        began = time.perf_counter()
        REQUESTS_IN_PROGRESS.inc()
        try:
            response = self.get_response(request)
        finally:
            REQUESTS_IN_PROGRESS.dec()
        seconds = time.perf_counter() - began
        method = request.method if request.method in _KNOWN_METHODS else "other"
        route = _route(request)
        REQUEST_SECONDS.labels(method, route, f"{response.status_code // 100}xx").observe(seconds)
        level = _log_level(request, response, seconds)
        if logger.isEnabledFor(level):
            _write_line(level, request, method=method, route=route, status=response.status_code, seconds=seconds)
        return response


def _route(request: HttpRequest) -> str:
    """The pattern that took the path: as many as there are routes, whatever clients ask for."""
    match = request.resolver_match
    if match is None or match.func is api_not_found:
        return UNMATCHED_ROUTE
    return f"/{match.route}"


def _log_level(request: HttpRequest, response: HttpResponse, seconds: float) -> int:
    if response.status_code >= 500:
        return logging.ERROR
    if seconds >= SLOW_REQUEST_SECONDS:
        return logging.WARNING
    wanted = {"all": True, "writes": request.method not in _SAFE_METHODS, "none": False}[settings.LOG_REQUESTS]
    return logging.INFO if wanted else logging.DEBUG


def _write_line(level: int, request: HttpRequest, *, seconds: float, **fields: Any) -> None:
    fields |= {"duration_ms": round(seconds * 1000, 1), "user_id": _user_id(request)}
    error = next((error for error in getattr(request, REQUEST_ERRORS_ATTRIBUTE) if error), None)
    logger.log(level, "request", exc_info=error, extra=fields)


def _user_id(request: HttpRequest) -> int | None:
    """Of whoever turned out to send it: a session that nobody has read must not cost a query now."""
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject):
        user = getattr(request, "_cached_user", None)
    return user.pk if user is not None and user.is_authenticated else None
