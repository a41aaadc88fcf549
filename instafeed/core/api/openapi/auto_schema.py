"""The OpenAPI description: what follows from a view is said here, once for all calls.

`ApiSchema` adds to what drf-spectacular reads off views and serializers: a summary, the errors that a call can
answer, the headers of every answer, and what ids and names in paths look like. `add_shared_components` then adds what is
shared or has no view. What belongs to one call stands beside it, in `extend_schema` with the pieces of
`instafeed.core.api.openapi.components`.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from drf_spectacular.drainage import has_override
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from instafeed.core.api.fields import NonBlankCharField, StrictCharField
from instafeed.core.api.openapi.components import (
    ANYTHING,
    ID_PATTERN,
    NON_BLANK_PATTERN,
    TEXT_PATTERN,
    UNKNOWN_FIELDS,
    ErrorResponseSerializer,
)
from instafeed.core.api.openapi.error_responses import ERROR_RESPONSES, HEADERS, RESPONSES
from instafeed.core.api.openapi.health_paths import HEALTH_PATHS

Json = dict[str, Any]

_REQUEST_ID_HEADER = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
_ID: Json = {
    "schema": {"type": "string", "pattern": ID_PATTERN},
    "description": "An id as the API gave it.",
    "example": "382835763848413185",
}
_PATH_PARAMETERS: dict[str, Json] = {
    "username": {
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._]+$"},
        "description": "A username, in any case.",
        "example": "grace",
    },
    "tag": {
        "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\u0000-\u0020/?#]+$"},
        "description": "A hashtag without its #, in any case.",
        "example": "sunset",
    },
}

# Which calls take what a creation answered: status, the field with the id, and the calls with their parameter.
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
    """drf-spectacular's, for this API's views. An operation's docstring is its summary and description."""

    def get_summary(self) -> str | None:
        """The docstring up to its first full stop, semicolon or colon."""
        return re.split(r"[.;:](?:\s|$)", self.get_description(), maxsplit=1)[0].replace("\n", " ") or None

    def _get_response_bodies(self, direction: Any = "response") -> Json:
        """The call's own answers, and every error that its shape makes possible; those that say no more are shared."""
        self.resolve_serializer(ErrorResponseSerializer, "response")
        bodies = super()._get_response_bodies(direction)
        for status in self._refusals():
            bodies.setdefault(str(status), {"description": ""})
        return {
            code: body if body["description"] else _shared_response(int(code), body)
            for code, body in sorted(bodies.items())
        }

    def get_request_serializer(self) -> Any:
        """Reached where `extend_schema` names no request: a DELETE has none then."""
        return None if self.method == "DELETE" else super().get_request_serializer()

    def _get_request_body(self, direction: Any = "request") -> Json | None:
        """Of a DELETE too, if it has one; and required, but for a PATCH, which may change nothing."""
        method = self.method
        if method == "DELETE" and self.get_request_serializer() is not None:
            self.method = "POST"  # the library looks at POST, PUT and PATCH only
        body = super()._get_request_body(direction)
        self.method = method
        return body and {**body, "required": method != "PATCH"}

    def _refusals(self) -> set[int]:
        """403, 409 and the 404 of something named in a body are the call's own business and not found here."""
        refusals = {406, 503}
        places = {parameter["in"] for parameter in self._get_parameters()}
        if self._get_request_body():
            refusals |= {400, 413, 415}
        if "query" in places:
            refusals.add(400)
        if "path" in places:
            refusals.add(404)
        if any(self.get_auth()):
            refusals.add(401)
        if self.view.get_throttles():
            refusals.add(429)
        return refusals

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> Json:
        more = ERROR_RESPONSES[int(status_code)].headers if int(status_code) in ERROR_RESPONSES else {}
        return {**super()._get_response_headers_for_code(status_code, direction), **_REQUEST_ID_HEADER, **more}

    def _resolve_path_parameters(self, variables: list[str]) -> list[Json]:
        return [_path_parameter(name) or super()._resolve_path_parameters([name])[0] for name in variables]

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Json:
        """A serializer's `schema_rules` are what none of its fields can say alone.

        Unknown fields of a request are ignored, but not what the parser refuses wherever it stands. Said by keywords
        that generators of clients leave alone: `additionalProperties` would make maps of their models.
        """
        unknown = UNKNOWN_FIELDS if direction == "request" else {}
        rules = getattr(serializer, "schema_rules", {})
        return {**super()._map_basic_serializer(serializer, direction), **unknown, **rules}

    def _get_serializer_field_meta(self, field: Any, direction: Any) -> Json:
        """A field with a schema of its own says itself how short a text may be."""
        meta: Json = super()._get_serializer_field_meta(field, direction)
        if has_override(field, "field"):
            meta.pop("minLength", None)
        return meta

    def _insert_field_validators(self, field: serializers.Field[Any, Any, Any, Any], schema: Json) -> None:
        """After the library's, as it takes any pattern for one that an empty text would not match."""
        super()._insert_field_validators(field, schema)
        if isinstance(field, StrictCharField) and "string" in schema.get("type", ""):
            needs_words = isinstance(field, NonBlankCharField) or (field.trim_whitespace and not field.allow_blank)
            schema.setdefault("pattern", NON_BLANK_PATTERN if needs_words else TEXT_PATTERN)


def add_shared_components(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """A postprocessing hook: shared answers and headers, the paths without a view, and links."""
    result["components"] |= {"responses": RESPONSES, "headers": HEADERS}
    result["components"]["schemas"] |= ANYTHING
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
    """An answer of which the call says nothing in particular."""
    if status in ERROR_RESPONSES:
        return {"$ref": f"#/components/responses/{ERROR_RESPONSES[status].name}"}
    return {**body, "description": HTTPStatus(status).phrase}


def _path_parameter(name: str) -> Json | None:
    known = _ID if name.endswith("_id") else _PATH_PARAMETERS.get(name)
    return known and {"in": "path", "name": name, "required": True, **known}
