"""GET /me/export: the user's personal data as a download."""

from __future__ import annotations

from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request

from accounts import export
from accounts.api.serializers import PROFILE_EXAMPLE
from accounts.api.views import OwnAccountView, current_user
from accounts.personal_data_registry import get_categories
from instafeed.core.api.openapi.components import example
from instafeed.core.api.throttling import ExportThrottle, UserThrottle

_EXAMPLE = example(
    "A new account",
    {
        "profile": [
            {
                **PROFILE_EXAMPLE,
                "email": "grace@mail.example",
                "email_verified": True,
                "is_staff": False,
                "last_login": None,
                "invite_id": None,
                "groups": [],
            }
        ],
        "following": [],
    },
)


@extend_schema_serializer(component_name="ExportedData", examples=[_EXAMPLE])
class ExportSerializer(serializers.Serializer[Any]):
    """All data about you: one array for each section. Sections may be added."""

    def get_fields(self) -> dict[str, Any]:
        """Return the sections that the apps have registered, for the OpenAPI document."""
        categories = [category for category in get_categories() if category.export is not None]
        return {category.name: category.row(many=True, required=False) for category in categories if category.row}


class Export(OwnAccountView):
    throttle_classes = [UserThrottle, ExportThrottle]

    @extend_schema(operation_id="download_my_data", tags=["me"], responses=ExportSerializer)
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download all data about you: profile, sessions, relations, posts, all other content, and moderation actions.

        Not included is what other users decided about you: blocks, mutes, reports, and dismissed reports.
        """
        user = current_user(request)
        pieces = export.stream_export(user.pk)
        # Create the first piece now: if the database is unavailable, the response is a 503 and not a truncated file.
        body = chain([next(pieces)], pieces)
        response = StreamingHttpResponse(body, content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="instafeed-{user.username}.json"'
        return response
