"""GET /stream: who may open a stream, with the errors of the API. `instafeed.stream.application` continues it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import APIException, Throttled
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.views import current_session_id, current_user
from instafeed.core.api.errors import ServiceUnavailable
from instafeed.core.api.openapi.components import error_response, example
from instafeed.core.db.snowflake import parse_id
from instafeed.stream import places
from instafeed.stream.connection import Subscription
from instafeed.stream.places import MAX_STREAMS_PER_USER, Refusal

CONTENT_TYPE = "text/event-stream"
_RETRY_AFTER = 60  # seconds, for a user who has too many streams
_EXAMPLE = """\
retry: 3217

id: 382835763848413185
event: notification
data: {"unread":2}

id: 382835763848413190
event: post
data: {"count":1}

:
"""


class MisdirectedRequest(APIException):
    status_code = 421
    default_detail = "This server holds no streams. Use the `stream_url` of GET /api/v1/instance."
    default_code = "misdirected_request"


class StreamRequest(ASGIRequest):
    """A request to a process that holds streams."""

    place_of: int | None = None  # the user with a place for this request, which the application gives back

    def take_place(self, user_id: int) -> Refusal | None:
        """Take a place for a stream. Return why there is none."""
        refusal = places.take(user_id)
        if refusal is None:
            self.place_of = user_id
        return refusal


class StreamResponse(StreamingHttpResponse):
    """The status and the headers of a stream."""

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(content_type=f"{CONTENT_TYPE}; charset=utf-8")
        self.subscription = subscription
        self["X-Accel-Buffering"] = "no"  # for an nginx with other settings


class _EventNegotiation(BaseContentNegotiation):
    """Clients ask for an event stream or for anything; errors are JSON in any case."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), JSONRenderer.media_type


class StreamView(APIView):
    content_negotiation_class = _EventNegotiation

    @extend_schema(
        operation_id="stream",
        tags=["stream"],
        parameters=[
            OpenApiParameter(
                "Last-Event-ID",
                {"type": "string", "pattern": "^[0-9]{1,19}$", "example": "382835763848413185"},
                OpenApiParameter.HEADER,
                description="The `id` of the last event that you received. The first `post` event counts newer posts.",
            )
        ],
        responses={
            (200, CONTENT_TYPE): OpenApiResponse(
                {"type": "string"},
                "Server-Sent Events, until the server or you end them.",
                [example("Events", _EXAMPLE)],
            ),
            **error_response(
                421,
                "misdirected_request",
                "This server holds no streams.",
                detail=MisdirectedRequest.default_detail,
            ),
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Open a stream of events that tell when to read. It never says what is new: read that as usual.

        `post`, with `{"count"}`: so many posts, at most 100, have appeared in the feed since the event before.
        `notification`, with `{"unread"}`: the number of unread notifications, when you connect and when there is a new
        one or the number changes. There is at most one event of a kind in a second, and a comment at least every 25
        seconds.

        Send the token in the header `Authorization`, as with `fetch`. The stream ends when the token expires, within a
        minute after it was revoked, and when a server restarts. Connect again then, with `Last-Event-ID`. You may have
        10 streams. The address is the `stream_url` of `GET /instance`.
        """
        take_place = getattr(request, "take_place", None)
        if take_place is None:
            raise MisdirectedRequest
        if request.method == "GET":  # HEAD opens none
            _require(take_place(current_user(request).pk))
        return StreamResponse(_subscription(request))


def _subscription(request: Request) -> Subscription:
    token: Any = request.auth
    return Subscription(
        user_id=current_user(request).pk,
        session_id=current_session_id(request),
        expires_at=float(token["exp"]),
        last_event_id=parse_id(request.headers.get("Last-Event-ID", "")),
    )


def _require(refusal: Refusal | None) -> None:
    if refusal is Refusal.USER:
        raise Throttled(_RETRY_AFTER, f"You have {MAX_STREAMS_PER_USER} open streams.")
    if refusal is Refusal.PROCESS:
        raise ServiceUnavailable
