"""The user's exports over HTTP: request one, follow its progress, and get the link to its file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core import compact_json
from instafeed.core.api.fields import IdField
from instafeed.core.api.openapi.components import list_parameters, page_serializer
from instafeed.core.api.pagination.list_page import filtered_page_response
from instafeed.core.api.requests import id_or_404
from instafeed.core.api.throttling import UserThrottle
from instafeed.core.db.keyset import fetch_ids
from instafeed.core.jobs.leased import JobState
from instafeed.exports import requests
from instafeed.exports.models import Export
from media import storage

STATUSES = ("queued", "running", "ready", "failed")
_LIST_KIND = "exports"


class ZipExportThrottle(UserThrottle):
    """Count exports that are begun: each reads all pictures of the user."""

    scope = "zip_export"


@extend_schema_serializer(
    component_name="DataExport",
    examples=[
        OpenApiExample(
            "An export that is ready",
            {
                "id": "281474976710656",
                "status": "ready",
                "progress": 100,
                "url": "https://example.org/files/exports/Zm9v.zip?expires=1769852400&signature=YmFy",
                "size": 734003200,
                "error": None,
                "created_at": "2026-01-31T09:30:00Z",
                "expires_at": "2026-02-07T09:31:12Z",
            },
            status_codes=["200", "202"],
        )
    ],
)
class ExportSerializer(serializers.Serializer[Any]):
    """A ZIP with `export.json`, which is that of GET /me/export, and your pictures.

    The section `files` of `export.json` names the file of each picture.
    """

    id = IdField()
    status = serializers.SerializerMethodField()
    progress = serializers.IntegerField(min_value=0, max_value=100, help_text="Percent; 100 when it is ready.")
    url = serializers.SerializerMethodField(
        help_text="The download, once it is ready. Without a token, so keep it secret. It expires soon: fetch the "
        "export again for a new one. Downloads can be resumed (`Range`)."
    )
    size = serializers.SerializerMethodField(help_text="Bytes, once it is ready.")
    error = serializers.SerializerMethodField(help_text="Why it failed.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(
        allow_null=True, help_text="When the export is deleted and its URLs stop working. Null until it has ended."
    )

    @extend_schema_field({"type": "string", "enum": list(STATUSES)})
    def get_status(self, export: Export) -> str:
        return status_of(export)

    def get_url(self, export: Export) -> str | None:
        return _download_url(export)

    def get_size(self, export: Export) -> int | None:
        return export.size if status_of(export) == "ready" else None

    def get_error(self, export: Export) -> str | None:
        return export.error if status_of(export) == "failed" else None


def status_of(export: Export) -> str:
    """Return what clients see of the state: an export runs from its first slice on."""
    if export.state == JobState.DONE:
        return "ready"
    if export.state == JobState.DEAD:
        return "failed"
    return "running" if export.upload_id or export.state == JobState.RUNNING else "queued"


def _download_url(export: Export) -> str | None:
    """Return a URL that works for MEDIA_URL_TTL seconds, but never beyond the expiry. None if there is no file."""
    if export.state != JobState.DONE or export.expires_at is None:
        return None
    expires = min(int(time.time()) + settings.MEDIA_URL_TTL, int(export.expires_at.timestamp()))
    return storage.download_url(export.path, _filename(export.created_at), expires)


def _filename(created_at: datetime) -> str:
    return f"instafeed-export-{created_at:%Y-%m-%d}.zip"


class Exports(APIView):
    @extend_schema(
        operation_id="list_exports",
        tags=["me"],
        parameters=list_parameters(_LIST_KIND),
        responses=page_serializer(ExportSerializer),
    )
    def get(self, request: Request) -> HttpResponse:
        """List your exports, newest first."""
        exports = requests.query_exports(current_user(request).pk)

        def fetch(before: int | None, limit: int) -> tuple[list[int], bool]:
            return fetch_ids(exports, "id", before, limit)

        def render(export_ids: Sequence[int]) -> list[tuple[int, bytes]]:
            rows = ExportSerializer(exports.filter(pk__in=export_ids).order_by("-pk"), many=True)
            return [(int(row["id"]), compact_json.encode(row)) for row in rows.data]

        return filtered_page_response(request, _LIST_KIND, fetch, render)

    @extend_schema(operation_id="request_export", tags=["me"], request=None, responses={202: ExportSerializer})
    def post(self, request: Request) -> Response:
        """Request a ZIP with all data about you and all your pictures.

        It is made in the background; fetch it again to see its progress. While one is being made, the response is that
        one.
        """
        user_id = current_user(request).pk
        if requests.get_unfinished(user_id) is None:
            throttle = ZipExportThrottle()
            if not throttle.allows(request):
                raise Throttled(throttle.wait())
        return Response(ExportSerializer(requests.request_export(user_id)).data, status=202)


class OneExport(APIView):
    @extend_schema(operation_id="get_export", tags=["me"], responses=ExportSerializer)
    def get(self, request: Request, export_id: str) -> Response:
        """Return one of your exports, with a new URL if it is ready; 404 if it is not yours or has expired."""
        exports = requests.query_exports(current_user(request).pk)
        return Response(ExportSerializer(get_object_or_404(exports, pk=id_or_404(export_id))).data)
