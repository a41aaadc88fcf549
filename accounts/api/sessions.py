"""The user's sessions over HTTP: list them, end one, end all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import sessions
from accounts.api.views import current_session_id, current_user
from accounts.models import Session
from instafeed.core import compact_json
from instafeed.core.api.fields import IdField
from instafeed.core.api.openapi.components import example, list_parameters, page_serializer
from instafeed.core.api.pagination.list_page import filtered_page_response
from instafeed.core.api.requests import id_or_404
from instafeed.core.db.keyset import fetch_ids

_LIST_KIND = "sessions"


@extend_schema_serializer(
    examples=[
        example(
            "A session",
            {
                "id": "1207",
                "created_at": "2026-01-31T09:30:00Z",
                "last_used_at": "2026-02-03T18:05:00Z",
                "client": "Firefox on Windows",
                "address": "192.0.2.7",
                "current": True,
            },
        )
    ]
)
class SessionSerializer(serializers.Serializer[Any]):
    """A sign-in that has not ended."""

    id = IdField()
    created_at = serializers.DateTimeField(help_text="When you signed in.")
    last_used_at = serializers.DateTimeField(
        help_text="When the tokens were last refreshed; not updated by each request."
    )
    client = serializers.CharField(help_text="The app or browser, from its User-Agent. May be empty.")
    address = serializers.CharField(
        help_text="The address of the sign-in or the last refresh; the /64 network of an IPv6 address. May be empty."
    )
    current = serializers.SerializerMethodField(help_text="Whether this request belongs to the session.")

    def get_current(self, session: Session) -> bool:
        return session.pk == self.context["current_session_id"]


class Sessions(APIView):
    @extend_schema(
        operation_id="list_sessions",
        tags=["me"],
        parameters=list_parameters(_LIST_KIND),
        responses=page_serializer(SessionSerializer),
    )
    def get(self, request: Request) -> HttpResponse:
        """List your sessions, newest first. Each sign-in starts one."""
        live = sessions.get_live(current_user(request).pk)
        context = {"current_session_id": current_session_id(request)}

        def fetch(before: int | None, limit: int) -> tuple[list[int], bool]:
            return fetch_ids(live, "id", before, limit)

        def render(session_ids: Sequence[int]) -> list[tuple[int, bytes]]:
            rows = SessionSerializer(live.filter(pk__in=session_ids).order_by("-pk"), many=True, context=context)
            return [(int(row["id"]), compact_json.encode(row)) for row in rows.data]

        return filtered_page_response(request, _LIST_KIND, fetch, render)

    @extend_schema(operation_id="end_other_sessions", tags=["me"], request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign out everywhere else. All your sessions except this one end, and their tokens are refused at once."""
        sessions.end_others(current_user(request).pk, current_session_id(request))
        return Response(status=204)


class OneSession(APIView):
    @extend_schema(operation_id="end_session", tags=["me"], request=None, responses={204: None})
    def delete(self, request: Request, session_id: str) -> Response:
        """End one of your sessions. Its tokens are refused at once; 404 if it is not yours or has ended."""
        if not sessions.end_one(current_user(request).pk, id_or_404(session_id)):
            raise Http404
        return Response(status=204)
