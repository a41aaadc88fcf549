"""One error format for everything under /api/: {"type", "errors": [{"code", "detail", "attr"}]}.

`ErrorHandler` renders the exceptions of views, through drf-standardized-errors. `ApiErrorMiddleware` rewrites the
errors that never reached a view (an unknown host, a failing middleware, DEBUG's pages). The plain views at the end
are Django's handlers for unknown paths and errors. A 404 has the same bytes wherever it is raised, so a client
cannot tell a resource that it may not see from one that does not exist.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.csrf import csrf_exempt
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework import exceptions

from instafeed.core import compact_json
from instafeed.core.api.throttling import throttle_unauthenticated
from instafeed.core.exceptions import DependencyUnavailable

logger = logging.getLogger(__name__)

_CODES = {
    400: "bad_request",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    503: "service_unavailable",
}
_DETAILS = {
    404: "Not found.",  # as DRF words it
    500: "Server Error (500)",  # as drf-standardized-errors words it
    503: "The service is temporarily unavailable.",
}


class Conflict(exceptions.APIException):
    """The request is valid, but conflicts with the stored state."""

    status_code = HTTPStatus.CONFLICT
    default_detail = "This conflicts with what is already there."
    default_code = "conflict"


class RequestTooLarge(exceptions.APIException):
    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "request_too_large"


class ServiceUnavailable(exceptions.APIException):
    """The primary or the file storage does not answer. `wait` becomes Retry-After, in seconds."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = _DETAILS[503]
    default_code = _CODES[503]
    wait = 2


class ErrorHandler(ExceptionHandler):
    """Translate exceptions that are caused by the client or by an outage, not by a bug."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        request = self.context["request"]
        if request and isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
            try:
                throttle_unauthenticated(request)
            except exceptions.Throttled as throttled:
                return throttled
        if isinstance(exc, Http404 | exceptions.NotFound):
            return exceptions.NotFound()  # always the same bytes
        if isinstance(exc, RequestDataTooBig):
            return RequestTooLarge()
        if isinstance(exc, SuspiciousOperation | BadRequest | MultiPartParserError | UnreadablePostError):
            return exceptions.ParseError("Malformed request.")
        if isinstance(exc, DataError):
            # A NUL character or an out-of-range number that no serializer rejected.
            return exceptions.ValidationError("A value cannot be stored.", code="invalid")
        if isinstance(exc, IntegrityError):
            # A concurrent request, or a lagging replica, invalidated an earlier check. Logged: it may be a bug.
            diagnosis = getattr(exc.__cause__, "diag", None)  # without the row, which is personal data
            constraint = getattr(diagnosis, "constraint_name", None)
            logger.warning("%s of %s answered as a conflict", type(exc.__cause__).__name__, constraint)
            return Conflict()
        if isinstance(exc, OperationalError | InterfaceError | DependencyUnavailable):
            return ServiceUnavailable()
        return super().convert_known_exceptions(exc)


class ApiErrorMiddleware:
    """Convert every error under /api/ to the error format. JSON responses pass unchanged."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not is_api_request(request) or response.streaming or _is_json(response):
            return response
        # Changed in place, to keep the headers that other middleware set (CORS, Allow, Vary).
        response.content = error_body(response.status_code)
        response["Content-Type"] = "application/json"
        response["Content-Length"] = str(len(response.content))
        return response


def is_api_request(request: HttpRequest) -> bool:
    return request.path_info == "/api" or request.path_info.startswith("/api/")


def error_body(status: int, code: str = "", detail: str = "") -> bytes:
    """Return the JSON error for a status, as DRF's renderer would write it."""
    error = {
        "code": code or _CODES.get(status) or ("error" if status >= 500 else "bad_request"),
        "detail": detail or _DETAILS.get(status) or _status_phrase(status),
        "attr": None,
    }
    error_type = "server_error" if status >= 500 else "client_error"
    return compact_json.encode({"type": error_type, "errors": [error]})


@csrf_exempt
def api_not_found(request: HttpRequest) -> HttpResponse:
    """Answer every method on paths under /api/ that have no route."""
    return _error_response(request, 404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_response(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_response(request, 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer in plain text: Django's own page has inline styles, which the Content-Security-Policy forbids."""
    text = "This form has expired or was not sent from this site. Go back, reload the page and try again.\n"
    return HttpResponse(text, status=403, content_type="text/plain; charset=utf-8")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_response(request, 404)


def service_unavailable(request: HttpRequest) -> HttpResponse:
    """Answer 503 from a plain view whose dependency is down."""
    return _error_response(request, 503)


def server_error(request: HttpRequest) -> HttpResponse:
    return _error_response(request, 500)


def _error_response(request: HttpRequest, status: int) -> HttpResponse:
    if is_api_request(request):
        return HttpResponse(error_body(status), status=status, content_type="application/json")
    return HttpResponse(f"{_status_phrase(status)}\n", status=status, content_type="text/plain; charset=utf-8")


def _is_json(response: HttpResponse) -> bool:
    return response.get("Content-Type", "").partition(";")[0].strip() == "application/json"


def _status_phrase(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return f"{phrase}."
