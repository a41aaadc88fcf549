"""The endpoints of notifications."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.fields import IdField, IdInputField
from instafeed.core.api.openapi.components import example, list_parameters, page_serializer
from instafeed.core.api.pagination.list_page import filtered_page_response
from instafeed.core.api.requests import id_or_404
from posts.notification_list import MAX_UNREAD_COUNT, NotificationList, count_unread
from social.api.serializers import PERSON_EXAMPLE, PersonSerializer
from social.models import NotificationKind
from social.notifications.read_state import dismiss, mark_read
from social.notifications.selectors import MAX_SHOWN_ACTORS

LIST_NAME = "notifications"  # identifies the list in its cursors
_TAGS = ["notifications"]
# No enumeration: a client that knows more kinds than this server may ask for them.
_KINDS = OpenApiParameter(
    "kind",
    {"type": "array", "items": {"type": "string", "pattern": "^[a-z_]+$"}, "minItems": 1},
    description="Only notifications of these kinds, separated by commas. A kind that does not exist matches none.",
    style="form",
    explode=False,
)
_NOTIFICATION_EXAMPLE = {
    "id": "4711",
    "kind": "like",
    "actors": [PERSON_EXAMPLE],
    "actor_count": 1,
    "post_id": "382835763848413185",
    "comment_id": None,
    "text": "",
    "created_at": "2026-05-01T18:30:00Z",
    "read": False,
}


@extend_schema_serializer(
    examples=[example("A like", _NOTIFICATION_EXAMPLE)], description="What other users or the moderators did."
)
class NotificationSerializer(serializers.Serializer[Any]):
    """Documents the JSON that `posts.notification_list` renders; used for the schema only."""

    id = IdField(help_text="Changes when a new actor joins the entry, which then moves to the top of the list.")
    kind = serializers.ChoiceField(
        choices=NotificationKind.choices,
        help_text="`content_hidden`: a moderator hid your post, or your comment if there is "
        "a `comment_id`. No one can see it, and you can delete it. `decision` and `warning`: a message of the "
        "moderators. If it says that they hid something, there is no `content_hidden` about it, and you can delete it "
        "too.",
    )
    actors = PersonSerializer(
        many=True,
        help_text=f"The newest {MAX_SHOWN_ACTORS}. For `media_failed`, `warning`, `content_hidden` and `decision`, "
        "this is your own account.",
    )
    actor_count = serializers.IntegerField(min_value=1)
    post_id = IdField(allow_null=True)
    comment_id = IdField(allow_null=True)
    text = serializers.CharField(
        help_text="The text of the comment, the caption that mentions you, the moderators' message, or your hidden "
        "caption or comment."
    )
    created_at = serializers.DateTimeField(help_text="When the newest of the actors shown joined the entry.")
    read = serializers.BooleanField()


@extend_schema_serializer(examples=[example("The newest one seen", {"up_to": "4711"})])
class ReadUpToSerializer(serializers.Serializer[Any]):
    up_to = IdInputField(help_text="The id of the newest notification that the user has seen.")


@extend_schema_serializer(examples=[example("Three", {"count": 3})])
class UnreadNotificationsSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=0, max_value=MAX_UNREAD_COUNT)


class NotificationsView(APIView):
    @extend_schema(
        operation_id="list_notifications",
        parameters=[_KINDS, *list_parameters(LIST_NAME)],
        responses=page_serializer(NotificationSerializer),
        tags=_TAGS,
    )
    def get(self, request: Request) -> HttpResponse:
        """List your notifications, newest first. Likes of the same post or comment share one entry.

        A page may be short, or empty with a cursor, where thousands of actors cannot be shown to you.
        """
        notifications = NotificationList(current_user(request).pk, _requested_kinds(request))
        return filtered_page_response(request, LIST_NAME, notifications.fetch, notifications.render)


class NotificationView(APIView):
    @extend_schema(operation_id="dismiss_notification", responses={204: None}, tags=_TAGS)
    def delete(self, request: Request, notification_id: str) -> Response:
        """Dismiss a notification: it leaves your list and the unread count.

        It comes back with a new id when a new actor joins it. The old id is a 404 then, and dismisses nothing.
        """
        if not dismiss(current_user(request).pk, id_or_404(notification_id)):
            raise Http404
        return Response(status=204)


class MarkNotificationsReadView(APIView):
    @extend_schema(
        operation_id="mark_notifications_read", request=ReadUpToSerializer, responses={204: None}, tags=_TAGS
    )
    def post(self, request: Request) -> Response:
        """Mark all notifications up to the given one as read."""
        data = ReadUpToSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        mark_read(current_user(request).pk, data.validated_data["up_to"])
        return Response(status=204)


class UnreadNotificationsView(APIView):
    @extend_schema(operation_id="count_unread_notifications", responses=UnreadNotificationsSerializer, tags=_TAGS)
    def get(self, request: Request) -> Response:
        """Return the number of unread notifications, at most 1,000.

        It may be too small if thousands of unread notifications, or of actors, cannot be shown to you.
        """
        return Response({"count": count_unread(current_user(request).pk)})


def _requested_kinds(request: Request) -> list[str] | None:
    """Return the existing kinds among those of `?kind=`, each once; None without the parameter."""
    values = request.query_params.getlist("kind")
    return sorted(set(NotificationKind).intersection(",".join(values).split(","))) if values else None
