"""Parts of the OpenAPI document for use in a view's `extend_schema`."""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema_field,
    extend_schema_serializer,
    inline_serializer,
)
from rest_framework import serializers

from instafeed.core.api.error_codes import ERROR_CODES
from instafeed.core.api.openapi.error_responses import error_example

ERROR_TYPES = ["validation_error", "client_error", "server_error"]
TEXT_PATTERN = r"^[^\u0000]*$"  # the parser rejects NUL characters everywhere
ANYTHING: dict[str, Any] = {
    "Anything": {
        "description": "Any JSON without NUL characters.",
        "anyOf": [
            {"type": ["boolean", "number", "null"]},
            {"type": "string", "pattern": TEXT_PATTERN},
            {"type": "array", "items": {"$ref": "#/components/schemas/Anything"}},
            {
                "type": "object",
                "propertyNames": {"pattern": TEXT_PATTERN},
                "additionalProperties": {"$ref": "#/components/schemas/Anything"},
            },
        ],
    }
}
UNKNOWN_FIELDS: dict[str, Any] = {
    "propertyNames": {"pattern": TEXT_PATTERN},
    "unevaluatedProperties": {"$ref": "#/components/schemas/Anything"},
}
# The characters that Python's strip() removes; `\s` is a different set in each regular-expression dialect.
_WHITE_SPACE = r"\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def non_blank_pattern(ignored: str = "") -> str:
    """Return the pattern of a text with at least one character that is neither white space nor in `ignored`."""
    return rf"^[^\u0000]*[^\u0000{_WHITE_SPACE}{ignored}][^\u0000]*$"


NON_BLANK_PATTERN = non_blank_pattern()
_LIMIT = OpenApiParameter(
    "limit",
    # No maximum: values above 100 are accepted and count as 100.
    {"type": "integer", "minimum": 1, "default": 20},
    description="Rows per page: 20 by default, at most 100.",
)
_CURSOR = "Opaque: `next_cursor` of the previous page."


def list_parameters(kind: str, length: int = 1) -> list[OpenApiParameter]:
    """Return `limit` and `cursor` for a list whose cursors are `encode_cursor(kind, …)` of `length` integers."""
    return limit_and_cursor_parameters(f"^{kind}" + r"\.[0-7][0-9a-f]{15}" * length + "$")


def text_list_parameters(kind: str) -> list[OpenApiParameter]:
    """Return `limit` and `cursor` for a list whose cursors are `encode_text_cursor(kind, …)`."""
    return limit_and_cursor_parameters(rf"^{kind}\.([0-9a-f]{{2}}){{0,1000}}$")


def limit_and_cursor_parameters(pattern: str) -> list[OpenApiParameter]:
    """Return `limit` and `cursor` for cursors that match `pattern`."""
    cursor = {"type": "string", "pattern": pattern}
    return [_LIMIT, OpenApiParameter("cursor", cursor, description=_CURSOR)]


@extend_schema_field({"type": "string", "enum": list(ERROR_CODES)})
class ErrorCodeField(serializers.CharField):
    """A code of the catalogue."""


# Named so that no language reserves the words.
@extend_schema_serializer(component_name="ApiErrorItem")
class ErrorSerializer(serializers.Serializer[Any]):
    """One error of a request."""

    code = ErrorCodeField(help_text="For programs.")
    detail = serializers.CharField(help_text="For people.")
    attr = serializers.CharField(allow_null=True, help_text="The invalid field, if there is one.")


@extend_schema_serializer(component_name="ApiError")
class ErrorResponseSerializer(serializers.Serializer[Any]):
    """The API's error format."""

    type = serializers.ChoiceField(choices=ERROR_TYPES)
    errors = ErrorSerializer(many=True)  # type: ignore[assignment]  # hides a property, in the schema only


def error_response(
    status: int, code: str, description: str, *, detail: str = "", attr: str | None = None
) -> dict[int, OpenApiResponse]:
    """Return an error of one operation, for `extend_schema(responses={200: …, **error_response(…)})`.

    `description` says when the error occurs. `detail` is the example's `detail` if it differs from that.
    """
    value = error_example(status, code, detail or description, attr)
    example = OpenApiExample(code, value=value, status_codes=[str(status)])
    return {status: OpenApiResponse(ErrorResponseSerializer, description, [example])}


def error_responses(status: int, *errors: tuple[str, str], attr: str | None = None) -> dict[int, OpenApiResponse]:
    """Return several errors of one status, each as its code and its description, which is also its `detail`."""
    examples = [
        OpenApiExample(code, value=error_example(status, code, detail, attr), status_codes=[str(status)])
        for code, detail in errors
    ]
    return {status: OpenApiResponse(ErrorResponseSerializer, " ".join(detail for _, detail in errors), examples)}


def not_found_response(description: str) -> dict[int, OpenApiResponse]:
    """Return the 404 of a resource that the request names outside its path. Its body is that of every 404."""
    return error_response(404, "not_found", description, detail="Not found.")


def example(name: str, value: Any) -> OpenApiExample:
    """Return an example of a serializer's body, for `extend_schema_serializer(examples=[…])`."""
    return OpenApiExample(name, value=value)


@cache  # one class per row type: two classes of one name would become two components
def page_serializer(row: type[serializers.BaseSerializer[Any]]) -> serializers.Serializer[Any]:
    """Return the serializer of a page of `row`s, for `extend_schema(responses=…)`, with the row's first example."""
    name = row.__name__.removesuffix("Serializer")
    page = inline_serializer(
        f"{name}Page",
        {
            "results": row(many=True),
            "next": serializers.URLField(allow_null=True, help_text="The URL of the next page; null at the end."),
            "next_cursor": serializers.CharField(
                allow_null=True, help_text="The `cursor` of the next page; null at the end."
            ),
            "previous": serializers.URLField(
                allow_null=True, help_text="Always null: lists can only be read forwards."
            ),
        },
    )
    # many=False: otherwise the library documents a view set's `list` as an array of pages.
    extend_schema_serializer(many=False, examples=_page_examples(row))(type(page))
    return type(page)()


_LAST_PAGE = {"next": None, "next_cursor": None, "previous": None}


def _page_examples(row: type[serializers.BaseSerializer[Any]]) -> list[OpenApiExample]:
    annotation = getattr(row, "_spectacular_annotation", {})
    rows = [example.value for example in annotation.get("examples", [])][:1]
    return [OpenApiExample("A page", value={"results": rows, **_LAST_PAGE})] if rows else []
