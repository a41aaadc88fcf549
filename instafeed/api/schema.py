"""Pieces of the OpenAPI description that several apps need."""

from __future__ import annotations

from functools import cache
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

ERROR_TYPES = ["validation_error", "client_error", "server_error"]
LIST_PARAMETERS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="Rows a page: 20 unless told, at most 100."),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` of the page before; opaque."),
]


class ErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True)


class ErrorResponseSerializer(serializers.Serializer[Any]):
    """The one error shape."""

    type = serializers.ChoiceField(choices=ERROR_TYPES)
    errors = ErrorSerializer(many=True)  # type: ignore[assignment]  # hides a property, in the schema only


@cache  # the same class again, as two of one name would be told apart
def page_of(row: type[serializers.BaseSerializer[Any]]) -> serializers.Serializer[Any]:
    """The answer of a list of `row`s, for `extend_schema(responses=…)`."""
    name = row.__name__.removesuffix("Serializer")
    return inline_serializer(
        f"{name}Page",
        {
            "results": row(many=True),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
        },
    )
