"""GET /schema: the public OpenAPI document, generated once a process because that takes most of a second."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

MEDIA_TYPE = "application/vnd.oai.openapi+json; version=3.1"


@require_safe
def openapi_document(request: HttpRequest) -> HttpResponse:
    """Serve the content of `openapi.json` to anyone, without line breaks. Its server is the site that was asked."""
    servers = [{"url": f"{request.scheme}://{request.get_host()}", "description": "This site."}]
    document = json.dumps({**_document(), "servers": servers}, ensure_ascii=False)
    return HttpResponse(document.encode(), content_type=MEDIA_TYPE)


@lru_cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document
