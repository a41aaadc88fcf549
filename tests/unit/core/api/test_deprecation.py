"""Deprecated calls and fields are marked in the OpenAPI document and in the headers of responses."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from instafeed.core.api import deprecation
from instafeed.core.api.deprecation import EXTENSION, Deprecation, deprecated, deprecated_fields
from instafeed.core.api.openapi.components import page_serializer
from instafeed.devstack.state import PROJECT_ROOT

pytestmark = pytest.mark.urls(__name__)

CALL = Deprecation(since=date(2026, 11, 1), sunset=date(2027, 10, 31))
FIELD = Deprecation(since=date(2027, 1, 1), sunset=date(2027, 9, 1))
CALL_HEADERS = {"Deprecation": "@1793491200", "Sunset": "Sun, 31 Oct 2027 00:00:00 GMT"}
FIELD_HEADERS = {"Deprecation": "@1798761600", "Sunset": "Wed, 01 Sep 2027 00:00:00 GMT"}
EARLIEST_HEADERS = {"Deprecation": CALL_HEADERS["Deprecation"], "Sunset": FIELD_HEADERS["Sunset"]}


@deprecated_fields(FIELD, "colour")
class ShapeSerializer(serializers.Serializer[Any]):
    colour = serializers.CharField()
    size = serializers.IntegerField()


class DrawingSerializer(serializers.Serializer[Any]):
    shapes = ShapeSerializer(many=True)


class OtherSerializer(serializers.Serializer[Any]):
    size = serializers.IntegerField()


class PublicView(APIView):
    authentication_classes = []
    permission_classes = []


class Drawing(PublicView):
    @extend_schema(operation_id="get_drawing", responses=DrawingSerializer)
    def get(self, request: Request) -> Response:
        """Return a drawing."""
        return Response({"shapes": []})

    @extend_schema(operation_id="replace_drawing", request=ShapeSerializer, responses={204: None})
    def put(self, request: Request) -> Response:
        """Replace a drawing."""
        return Response(status=204)

    @deprecated(CALL)
    @extend_schema(operation_id="draw", request=None, responses={200: OtherSerializer})
    def post(self, request: Request) -> Response:
        """Draw."""
        return Response({"size": 1})

    @extend_schema(operation_id="erase", request=None, responses={200: ShapeSerializer(many=True)})
    @deprecated(CALL)
    def delete(self, request: Request) -> Response:
        """Erase."""
        return Response([])


class Shapes(ViewSet):
    authentication_classes = []
    permission_classes = []

    @extend_schema(operation_id="list_shapes", responses=page_serializer(ShapeSerializer))
    def list(self, request: Request) -> Response:
        """List shapes."""
        return Response({"results": [], "next": None, "next_cursor": None, "previous": None})


# Other tests of this process run without these declarations.
DECLARATIONS = list(deprecation.declarations)
deprecation.declarations.clear()


@pytest.fixture(autouse=True)
def declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deprecation, "declarations", DECLARATIONS.copy())


urlpatterns = [path("api/v1/drawing", Drawing.as_view()), path("api/v1/shapes", Shapes.as_view({"get": "list"}))]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("post", "drawing", CALL_HEADERS),
        ("get", "drawing", FIELD_HEADERS),
        ("head", "drawing", FIELD_HEADERS),
        ("get", "shapes", FIELD_HEADERS),
        ("delete", "drawing", EARLIEST_HEADERS),
        ("put", "drawing", {}),
        ("patch", "drawing", {}),
        ("get", "unknown", {}),
    ],
)
def test_headers_announce_deprecated_calls_and_fields(method: str, target: str, expected: dict[str, str]) -> None:
    response = getattr(Client(), method)(f"/api/v1/{target}")
    found = {name: response[name] for name in ("Deprecation", "Sunset") if name in response}
    assert found == expected


def test_the_document_marks_deprecated_calls_and_fields() -> None:
    document = SchemaGenerator(patterns=urlpatterns).get_schema(request=None, public=True)
    operations = document["paths"]["/api/v1/drawing"]
    marked = {method for method, operation in operations.items() if operation.get("deprecated")}
    assert marked == {"post", "delete"}
    shape = document["components"]["schemas"]["Shape"]["properties"]
    assert shape["colour"]["deprecated"] is True
    assert "deprecated" not in shape["size"]


def test_an_unknown_field_or_a_short_notice_is_refused() -> None:
    with pytest.raises(ValueError, match="no fields"):
        deprecated_fields(CALL, "weight")(OtherSerializer)
    with pytest.raises(ValueError, match="180 days"):
        Deprecation(since=date(2026, 11, 1), sunset=date(2026, 12, 1))


@pytest.mark.urls("instafeed.urls")
def test_nothing_is_deprecated_as_the_page_says() -> None:
    document = SchemaGenerator().get_schema(request=None, public=True)
    assert EXTENSION not in str(document)
    assert "Nothing is deprecated today." in (PROJECT_ROOT / "docs" / "versioning.md").read_text()
