"""Pieces of the OpenAPI description that a view puts into its `extend_schema`."""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema_serializer,
    inline_serializer,
)
from rest_framework import serializers

from instafeed.core.api.openapi.error_responses import error_example

ERROR_TYPES = ["validation_error", "client_error", "server_error"]
ID_PATTERN = "^([1-9][0-9]{0,17}|[1-8][0-9]{18})$"  # below 9 * 10**18, which ids reach in 2092
TEXT_PATTERN = r"^[^\u0000]*$"  # the parser refuses NUL characters, wherever they are
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
# At least one character that Python does not strip; `\s` is another set for every reader of patterns.
_WHITE_SPACE = r"\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def non_blank_pattern(ignored: str = "") -> str:
    """Of a text with a character that is neither white space nor one of those `ignored`."""
    return rf"^[^\u0000]*[^\u0000{_WHITE_SPACE}{ignored}][^\u0000]*$"


NON_BLANK_PATTERN = non_blank_pattern()
_LIMIT = OpenApiParameter(
    "limit",
    # No maximum, as more than 100 is taken and counts as 100.
    {"type": "integer", "minimum": 1, "default": 20},
    description="Rows a page: 20 unless told, at most 100.",
)
_CURSOR = "From `next` of the page before; opaque."


def list_parameters(kind: str, length: int = 1) -> list[OpenApiParameter]:
    """`limit` and `cursor` of a list whose cursors are `encode_cursor(kind, …)` of `length` numbers."""
    return limit_and_cursor_parameters(f"^{kind}" + r"\.[0-7][0-9a-f]{15}" * length + "$")


def text_list_parameters(kind: str) -> list[OpenApiParameter]:
    """The same for `encode_text_cursor(kind, …)`."""
    return limit_and_cursor_parameters(rf"^{kind}\.([0-9a-f]{{2}}){{0,1000}}$")


def limit_and_cursor_parameters(pattern: str) -> list[OpenApiParameter]:
    """The same for cursors that only a pattern of their own describes."""
    cursor = {"type": "string", "pattern": pattern}
    return [_LIMIT, OpenApiParameter("cursor", cursor, description=_CURSOR)]


class ErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs.")
    detail = serializers.CharField(help_text="For people.")
    attr = serializers.CharField(allow_null=True, help_text="The field that is meant, if one is.")


class ErrorResponseSerializer(serializers.Serializer[Any]):
    """The one error shape."""

    type = serializers.ChoiceField(choices=ERROR_TYPES)
    errors = ErrorSerializer(many=True)  # type: ignore[assignment]  # hides a property, in the schema only


def error_response(
    status: int, code: str, description: str, *, detail: str = "", attr: str | None = None
) -> dict[int, OpenApiResponse]:
    """An error that is one call's own, for `extend_schema(responses={200: …, **refusal(…)})`.

    `description` says when it is given; `detail`, what its `detail` says if that is something else.
    """
    value = error_example(status, code, detail or description, attr)
    example = OpenApiExample(code, value=value, status_codes=[str(status)])
    return {status: OpenApiResponse(ErrorResponseSerializer, description, [example])}


def not_found_response(description: str) -> dict[int, OpenApiResponse]:
    """The 404 of what a call names other than in its path; its body is that of every 404."""
    return error_response(404, "not_found", description, detail="Not found.")


def example(name: str, value: Any) -> OpenApiExample:
    """What a serializer's body looks like, for `extend_schema_serializer(examples=[…])`."""
    return OpenApiExample(name, value=value)


@cache  # the same class again, as two of one name would be told apart
def page_serializer(row: type[serializers.BaseSerializer[Any]]) -> serializers.Serializer[Any]:
    """The answer of a list of `row`s, for `extend_schema(responses=…)`; shows the first example of a row."""
    name = row.__name__.removesuffix("Serializer")
    page = inline_serializer(
        f"{name}Page",
        {
            "results": row(many=True),
            "next": serializers.URLField(allow_null=True, help_text="The next page; null at the end."),
            "previous": serializers.URLField(allow_null=True, help_text="Always null: lists are read forwards."),
        },
    )
    # many=False: the library would take the answer of a view set's `list` for an array of these.
    extend_schema_serializer(many=False, examples=_page_examples(row))(type(page))
    return type(page)()


def _page_examples(row: type[serializers.BaseSerializer[Any]]) -> list[OpenApiExample]:
    annotation = getattr(row, "_spectacular_annotation", {})
    rows = [example.value for example in annotation.get("examples", [])][:1]
    return [OpenApiExample("A page", value={"results": rows, "next": None, "previous": None})] if rows else []
