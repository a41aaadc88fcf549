"""GET /schema: the OpenAPI document, generated once a process because that takes most of a second."""

from __future__ import annotations

import json
from functools import lru_cache

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

MEDIA_TYPE = "application/vnd.oai.openapi+json; version=3.1"


@require_safe
def openapi_document(request: HttpRequest) -> HttpResponse:
    """Serve the content of `openapi.json`, without line breaks, to anyone."""
    return HttpResponse(_document(), content_type=MEDIA_TYPE)


@lru_cache
def _document() -> bytes:
    return json.dumps(SchemaGenerator().get_schema(request=None, public=True), ensure_ascii=False).encode()
