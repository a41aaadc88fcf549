"""GET /me/export: the user's personal data as a download."""

from __future__ import annotations

from itertools import chain

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from accounts import export
from accounts.api.views import OwnAccountView, current_user
from instafeed.core.api.openapi.components import example
from instafeed.core.api.throttling import ExportThrottle, UserThrottle

# The apps define the sections and their rows (accounts.personal_data_registry).
EXPORT_SCHEMA = {
    "type": "object",
    "description": "One array for each section.",
    "additionalProperties": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
}
_EXAMPLE = example("A new account", {"profile": [{"id": "42", "username": "grace"}], "following": []})


class Export(OwnAccountView):
    throttle_classes = [UserThrottle, ExportThrottle]

    @extend_schema(
        operation_id="export_me", tags=["me"], responses={200: OpenApiResponse(EXPORT_SCHEMA, examples=[_EXAMPLE])}
    )
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
