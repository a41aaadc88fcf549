"""The parts of the OpenAPI document that are common to all operations.

`ApiSchema` extends what drf-spectacular reads from views and serializers: a summary, the possible errors, the
headers of every response, and the formats of ids and names in paths. `add_shared_components` then adds shared
components and the paths without a DRF view, and `public_document` removes what only the fuzzer needs. The details of
one operation stand beside its view, in `extend_schema` with the helpers of `instafeed.core.api.openapi.components`.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from drf_spectacular.drainage import has_override
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from instafeed.core.api.fields import ID_PATTERN, NonBlankCharField, StrictCharField
from instafeed.core.api.openapi.components import (
    ANYTHING,
    NON_BLANK_PATTERN,
    TEXT_PATTERN,
    UNKNOWN_FIELDS,
    ErrorResponseSerializer,
)
from instafeed.core.api.openapi.error_responses import ERROR_RESPONSES, HEADERS, RATE_LIMIT_HEADERS, RESPONSES
from instafeed.core.api.openapi.health_paths import HEALTH_PATHS, HEALTH_SCHEMAS

Json = dict[str, Any]

_REQUEST_ID_HEADER = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
_ID: Json = {
    "schema": {"type": "string", "pattern": ID_PATTERN},
    "description": "An id, as returned by the API.",
    "example": "382835763848413185",
}
_PATH_PARAMETERS: dict[str, Json] = {
    "username": {
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._]+$"},
        "description": "A username; case-insensitive.",
        "example": "grace",
    },
    "tag": {
        "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\u0000-\u0020/?#]+$"},
        "description": "A hashtag without its #; case-insensitive.",
        "example": "sunset",
    },
}

# Links from operations that create something: status, the field with the id, and the operations with their parameter.
_LINKS: dict[str, tuple[str, str, dict[str, str]]] = {
    "create_post": (
        "201",
        "/id",
        dict.fromkeys(("get_post", "edit_post", "delete_post", "like_post", "list_comments"), "post_id"),
    ),
    "create_comment": ("201", "/id", dict.fromkeys(("delete_comment", "like_comment"), "comment_id")),
    "upload_media": ("202", "/id", dict.fromkeys(("get_media", "delete_media"), "media_id")),
}


class ApiSchema(AutoSchema):
    """drf-spectacular's AutoSchema for this API. An operation's docstring is its summary and description."""

    def get_summary(self) -> str | None:
        """Return the docstring up to its first full stop, semicolon or colon."""
        return re.split(r"[.;:](?:\s|$)", self.get_description(), maxsplit=1)[0].replace("\n", " ") or None

    def _get_response_bodies(self, direction: Any = "response") -> Json:
        """Return the operation's own responses and its possible errors; those without a description are shared."""
        self.resolve_serializer(ErrorResponseSerializer, "response")
        bodies = super()._get_response_bodies(direction)
        for status in self._possible_error_statuses():
            bodies.setdefault(str(status), {"description": ""})
        return {
            code: body if body["description"] else _shared_response(int(code), body)
            for code, body in sorted(bodies.items())
        }

    def get_request_serializer(self) -> Any:
        """Called if `extend_schema` names no request body: a DELETE then has none."""
        return None if self.method == "DELETE" else super().get_request_serializer()

    def _get_request_body(self, direction: Any = "request") -> Json | None:
        """Support a DELETE with a body, and require the body except for a PATCH, which may change nothing."""
        method = self.method
        if method == "DELETE" and self.get_request_serializer() is not None:
            self.method = "POST"  # the library considers POST, PUT and PATCH only
        body = super()._get_request_body(direction)
        self.method = method
        return body and {**body, "required": method != "PATCH"}

    def _possible_error_statuses(self) -> set[int]:
        """Return the error statuses that follow from the operation's parameters, body, authentication and throttles.

        The operation itself declares 403, 409 and the 404 of a resource that its body names.
        """
        statuses = {406, 503}
        locations = {parameter["in"] for parameter in self._get_parameters()}
        if self._get_request_body():
            statuses |= {400, 413, 415}
        if "query" in locations:
            statuses.add(400)
        if "path" in locations:
            statuses.add(404)
        if any(self.get_auth()):
            statuses.add(401)
        if self.view.get_throttles():
            statuses.add(429)
        return statuses

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> Json:
        status = int(status_code)
        more = ERROR_RESPONSES[status].headers if status in ERROR_RESPONSES else {}
        limits = RATE_LIMIT_HEADERS if self.view.get_throttles() else {}
        return {
            **super()._get_response_headers_for_code(status_code, direction),
            **_REQUEST_ID_HEADER,
            **limits,
            **more,
        }

    def _resolve_path_parameters(self, variables: list[str]) -> list[Json]:
        return [_path_parameter(name) or super()._resolve_path_parameters([name])[0] for name in variables]

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Json:
        """Add a serializer's `schema_rules` (rules across fields) and the rule for unknown fields.

        Unknown fields of a request are ignored, but the parser's rules still apply to them. The public document has
        neither.
        """
        unknown = UNKNOWN_FIELDS if direction == "request" else {}
        rules = getattr(serializer, "schema_rules", {})
        return {**super()._map_basic_serializer(serializer, direction), **unknown, **rules}

    def _get_serializer_field_meta(self, field: Any, direction: Any) -> Json:
        """Drop the library's `minLength` from fields that define their own schema."""
        meta: Json = super()._get_serializer_field_meta(field, direction)
        if has_override(field, "field"):
            meta.pop("minLength", None)
        return meta

    def _insert_field_validators(self, field: serializers.Field[Any, Any, Any, Any], schema: Json) -> None:
        """Add patterns after the library's validators: it assumes that an empty text matches no pattern."""
        super()._insert_field_validators(field, schema)
        if isinstance(field, StrictCharField) and "string" in schema.get("type", ""):
            is_non_blank = isinstance(field, NonBlankCharField) or (field.trim_whitespace and not field.allow_blank)
            schema.setdefault("pattern", NON_BLANK_PATTERN if is_non_blank else TEXT_PATTERN)


def add_shared_components(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """Add shared responses and headers, the paths without a DRF view, and links (a postprocessing hook)."""
    result["components"] |= {"responses": RESPONSES, "headers": HEADERS}
    result["components"]["schemas"] |= ANYTHING | HEALTH_SCHEMAS
    result["paths"] |= HEALTH_PATHS
    operations = {
        operation["operationId"]: operation for path in result["paths"].values() for operation in path.values()
    }
    for source, (status, pointer, targets) in _LINKS.items():
        if source in operations:
            operations[source]["responses"][status]["links"] = {
                target: {"operationId": target, "parameters": {parameter: f"$response.body#{pointer}"}}
                for target, parameter in targets.items()
                if target in operations
            }
    return result


def _shared_response(status: int, body: Json) -> Json:
    """Return a reference to the shared response of a status, or `body` with the status phrase."""
    if status in ERROR_RESPONSES:
        return {"$ref": f"#/components/responses/{ERROR_RESPONSES[status].name}"}
    return {**body, "description": HTTPStatus(status).phrase}


def _path_parameter(name: str) -> Json | None:
    known = _ID if name.endswith("_id") else _PATH_PARAMETERS.get(name)
    return known and {"in": "path", "name": name, "required": True, **known}
