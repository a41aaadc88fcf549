"""Announce that a call, or a field of responses, will be removed (docs/versioning.md).

One declaration marks it in the OpenAPI document, and adds the headers `Deprecation` (RFC 9745) and `Sunset` (RFC 8594)
to every response of the calls concerned: of the call itself, or of each call whose responses contain the field.

    @deprecated(Deprecation(since=date(2026, 11, 1), sunset=date(2027, 10, 31)))
    @extend_schema(operation_id="get_user", …)
    def get(self, request: Request) -> Response: ...

    @deprecated_fields(Deprecation(since=date(2026, 11, 1), sunset=date(2027, 10, 31)), "website")
    class ProfileSerializer(serializers.Serializer[Any]): ...

Which calls return a field is read from the OpenAPI document, once a process and only if anything is deprecated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest
from django.utils.http import http_date
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers

from instafeed.core.api.openapi.public_document import find_response_components

MIN_NOTICE = timedelta(days=180)
EXTENSION = "x-deprecation"  # of operations and components in the document: a list of dates, for the headers

CallableT = TypeVar("CallableT", bound=Callable[..., Any])
SerializerT = TypeVar("SerializerT", bound=type[serializers.Serializer[Any]])

declarations: list[Deprecation] = []  # of this process


@dataclass(frozen=True)
class Deprecation:
    """From `since` on it should not be used, from `sunset` on it may be gone."""

    since: date
    sunset: date

    def __post_init__(self) -> None:
        if self.sunset - self.since < MIN_NOTICE:
            raise ValueError(f"the sunset must be at least {MIN_NOTICE.days} days after the deprecation")

    def as_extension(self) -> dict[str, Any]:
        return {EXTENSION: {"since": self.since.isoformat(), "sunset": self.sunset.isoformat()}}


def deprecated(deprecation: Deprecation) -> Callable[[CallableT], CallableT]:
    """Mark a method of a view."""
    declarations.append(deprecation)
    return extend_schema(deprecated=True, extensions=deprecation.as_extension())


def deprecated_fields(deprecation: Deprecation, *names: str) -> Callable[[SerializerT], SerializerT]:
    """Mark fields of a serializer that documents responses, with one date for all of them."""

    def mark(serializer: SerializerT) -> SerializerT:
        unknown = sorted(set(names) - serializer().fields.keys())
        if unknown:
            raise ValueError(f"{serializer.__name__} has no fields {unknown}")
        declarations.append(deprecation)
        return extend_schema_serializer(deprecate_fields=names, extensions=deprecation.as_extension())(serializer)

    return mark


def deprecation_headers(request: HttpRequest) -> dict[str, str]:
    """Return the headers for the call that a request made; none if nothing about it is deprecated."""
    if not declarations or request.resolver_match is None:
        return {}
    path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", request.resolver_match.route)
    method = "get" if request.method == "HEAD" else (request.method or "").lower()
    return _headers_by_call(settings.ROOT_URLCONF).get((method, path), {})


@cache
def _headers_by_call(urlconf: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return the headers of all calls with deprecations, by method and path."""
    document = SchemaGenerator(urlconf=urlconf).get_schema(request=None, public=True)
    headers = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            marked = [operation, *find_response_components(document, operation)]
            if dates := [one[EXTENSION] for one in marked if EXTENSION in one]:
                since, sunset = min(one["since"] for one in dates), min(one["sunset"] for one in dates)
                headers[method, path] = {
                    "Deprecation": f"@{_timestamp(since)}",
                    "Sunset": http_date(_timestamp(sunset)),
                }
    return headers


def _timestamp(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp())
