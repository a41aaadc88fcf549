"""The own data over HTTP, as a download."""

from __future__ import annotations

from itertools import chain

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from accounts import export
from accounts.api.views import OwnAccountView, current_user
from instafeed.core.api.openapi.components import example
from instafeed.core.api.throttling import ExportThrottle, UserThrottle

# Sections are the apps' own (accounts.personal_data_registry), and so are their rows.
EXPORT_SCHEMA = {
    "type": "object",
    "description": "One array a section.",
    "additionalProperties": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
}
_EXAMPLE = example("A new account", {"profile": [{"id": "42", "username": "grace"}], "following": []})


class Export(OwnAccountView):
    throttle_classes = [UserThrottle, ExportThrottle]

    @extend_schema(
        operation_id="export_me", tags=["me"], responses={200: OpenApiResponse(EXPORT_SCHEMA, examples=[_EXAMPLE])}
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """All that is held about you: profile, sessions, relations, posts, whatever else you made, what moderators did.

        Left out is what others think of you: who blocks, mutes or reports you, and reports that were dismissed.
        """
        user = current_user(request)
        pieces = export.stream_export(user.pk)
        # The first piece is made now: a database that is away is a 503 then, not half an answer.
        body = chain([next(pieces)], pieces)
        answer = StreamingHttpResponse(body, content_type="application/json")
        answer["Content-Disposition"] = f'attachment; filename="instafeed-{user.username}.json"'
        answer["Cache-Control"] = "no-store"
        return answer
