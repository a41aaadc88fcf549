"""Every error status of the API as the OpenAPI document shows it: description, example and headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_REQUEST_ID: Json = {
    "description": "Identifies this request in the service's logs: the id that the request sent, or a generated one.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    "example": "5f0c1e2b7d4a4c0f9f6f0d6b2a9e8c11",
}
_RETRY_AFTER: Json = {
    "description": "Seconds to wait before the next attempt.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
    "example": 12,
}
_AUTHENTICATE: Json = {
    "description": "The authentication scheme to use.",
    "required": True,
    "schema": {"type": "string"},
    "example": 'Bearer realm="api"',
}
_RATE_LIMIT_MEANINGS = {
    "RateLimit-Limit": "Requests per window, of the rate limit that is closest to being reached.",
    "RateLimit-Remaining": "Requests that are left in the current window.",
    "RateLimit-Reset": "Seconds until the window ends.",
}
_RATE_LIMITS: Json = {
    name: {"description": meaning, "schema": {"type": "integer", "minimum": 0}, "example": 60}
    for name, meaning in _RATE_LIMIT_MEANINGS.items()
}
HEADERS: Json = {
    "X-Request-ID": _REQUEST_ID,
    "Retry-After": _RETRY_AFTER,
    "WWW-Authenticate": _AUTHENTICATE,
    **_RATE_LIMITS,
}


def _header_references(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


RATE_LIMIT_HEADERS = _header_references(*_RATE_LIMIT_MEANINGS)


def error_example(status: int, code: str, detail: str, attr: str | None = None) -> Json:
    """Return an error body in the API's error format."""
    error_type = "server_error" if status >= 500 else "validation_error" if status == 400 and attr else "client_error"
    return {"type": error_type, "errors": [{"code": code, "detail": detail, "attr": attr}]}


@dataclass(frozen=True)
class ErrorResponse:
    """One status: its component's name, a description, an example and its own headers."""

    name: str
    description: str
    example: Json
    headers: Json = field(default_factory=dict)

    def as_response(self) -> Json:
        return {
            "description": self.description,
            "headers": _header_references("X-Request-ID") | RATE_LIMIT_HEADERS | self.headers,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/ApiError"},
                    "examples": {self.name: {"value": self.example}},
                }
            },
        }


ERROR_RESPONSES: dict[int, ErrorResponse] = {
    400: ErrorResponse(
        "BadRequest",
        "The request is malformed, or a value is invalid; `attr` names the field.",
        error_example(400, "required", "This field is required.", "username"),
    ),
    401: ErrorResponse(
        "Unauthorized",
        "The access token is missing, invalid or expired.",
        error_example(401, "not_authenticated", "Authentication credentials were not provided."),
        _header_references("WWW-Authenticate"),
    ),
    403: ErrorResponse(
        "Forbidden",
        "You may see the resource, but not do this.",
        error_example(403, "permission_denied", "You do not have permission to perform this action."),
    ),
    404: ErrorResponse(
        "NotFound",
        "The resource does not exist, or you may not see it.",
        error_example(404, "not_found", "Not found."),
    ),
    406: ErrorResponse(
        "NotAcceptable",
        "`Accept` excludes JSON.",
        error_example(406, "not_acceptable", "Could not satisfy the request Accept header."),
    ),
    409: ErrorResponse(
        "Conflict",
        "The request is valid, but conflicts with the current state.",
        error_example(409, "conflict", "This conflicts with what is already there."),
    ),
    413: ErrorResponse(
        "TooLarge",
        "The body is too large.",
        error_example(413, "request_too_large", "The request body is too large."),
    ),
    415: ErrorResponse(
        "UnsupportedMediaType",
        "This operation does not accept the body's `Content-Type`.",
        error_example(415, "unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    ),
    429: ErrorResponse(
        "TooManyRequests",
        "Too many requests.",
        error_example(429, "throttled", "Request was throttled. Expected available in 12 seconds."),
        _header_references("Retry-After"),
    ),
    503: ErrorResponse(
        "Unavailable",
        "A service that this operation needs is down.",
        error_example(503, "service_unavailable", "The service is temporarily unavailable."),
        _header_references("Retry-After"),
    ),
}
RESPONSES: Json = {response.name: response.as_response() for response in ERROR_RESPONSES.values()}
