"""Measure every request and log some of them.

A log line has the route, never the path, and nothing that the client sent. Requests that write are logged at INFO, slow
ones at WARNING, 5xx responses at ERROR with their traceback. `LOG_REQUESTS` selects which others are logged.
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

SLOW_REQUEST_SECONDS = 1.0
UNMATCHED_ROUTE = "unmatched"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_KNOWN_METHODS = (*_SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
logger = logging.getLogger(__name__)


class RequestLogMiddleware:
    """Must be outside of all middleware that takes time or may fail."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        setattr(request, REQUEST_ERRORS_ATTRIBUTE, [])
        started = time.perf_counter()
        REQUESTS_IN_PROGRESS.inc()
        try:
            response = self.get_response(request)
        finally:
            REQUESTS_IN_PROGRESS.dec()
        seconds = time.perf_counter() - started
        method = request.method if request.method in _KNOWN_METHODS else "other"
        route = _route(request)
        REQUEST_SECONDS.labels(method, route, f"{response.status_code // 100}xx").observe(seconds)
        level = _log_level(request, response, seconds)
        if logger.isEnabledFor(level):
            _write_line(level, request, method=method, route=route, status=response.status_code, seconds=seconds)
        return response


def _route(request: HttpRequest) -> str:
    """Return the matched URL pattern. The number of values is bounded by the number of routes."""
    match = request.resolver_match
    if match is None or match.func is api_not_found:
        return UNMATCHED_ROUTE
    return f"/{match.route}"


def _log_level(request: HttpRequest, response: HttpResponse, seconds: float) -> int:
    if response.status_code >= 500:
        return logging.ERROR
    if seconds >= SLOW_REQUEST_SECONDS:
        return logging.WARNING
    is_selected = {"all": True, "writes": request.method not in _SAFE_METHODS, "none": False}[settings.LOG_REQUESTS]
    return logging.INFO if is_selected else logging.DEBUG


def _write_line(level: int, request: HttpRequest, *, seconds: float, **fields: Any) -> None:
    fields |= {"duration_ms": round(seconds * 1000, 1), "user_id": _user_id(request)}
    error = next((error for error in getattr(request, REQUEST_ERRORS_ATTRIBUTE) if error), None)
    logger.log(level, "request", exc_info=error, extra=fields)


def _user_id(request: HttpRequest) -> int | None:
    """Return the user's id if the request has loaded its user. Loading the session here would cost a query."""
    user = getattr(request, "user", None)
    if isinstance(user, SimpleLazyObject):
        user = getattr(request, "_cached_user", None)
    return user.pk if user is not None and user.is_authenticated else None
