"""GET and PATCH /me/preferences: what the user wants to be notified of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.fields import StrictBooleanField
from instafeed.core.api.openapi.components import example
from social.models import NotificationKind
from social.notifications.preferences import ALWAYS_IN_APP, Channels, change_preferences, get_preferences

_TAGS = ["me"]


class ChannelsSerializer(serializers.Serializer[Any]):
    """Where you are notified of a kind. In a request, what is missing stays as it is."""

    in_app = StrictBooleanField(
        required=False,
        help_text="In the list of notifications. What the moderators did is always there: `warning`, `content_hidden`, "
        "`decision`.",
    )
    push = StrictBooleanField(
        required=False, help_text="As a push message to your subscribed browsers. Only for what is in the list."
    )


class ChannelsByKindSerializer(serializers.Serializer[Any]):
    """The channels of each kind of notification. Kinds may be added."""

    def get_fields(self) -> dict[str, Any]:
        return {kind.value: ChannelsSerializer(required=False) for kind in NotificationKind}

    def to_internal_value(self, data: Any) -> dict[str, Channels]:
        known = super().to_internal_value(data)
        if data.keys() - self.fields.keys():
            detail = serializers.ErrorDetail("There is no such kind of notification.", "invalid_choice")
            raise serializers.ValidationError([detail])
        for kind in ALWAYS_IN_APP:
            if known.get(kind, {}).get("in_app") is False:
                detail = serializers.ErrorDetail("What the moderators did is always in the list.", "always_in_app")
                raise serializers.ValidationError({kind.value: {"in_app": [detail]}})
        return {kind: Channels(**channels) for kind, channels in known.items()}


_EXAMPLE = {"notifications": {"like": {"in_app": True, "push": False}}}


@extend_schema_serializer(examples=[example("No push messages about likes", _EXAMPLE)])
class PreferencesSerializer(serializers.Serializer[Any]):
    notifications = ChannelsByKindSerializer(required=False)


class PreferencesView(APIView):
    @extend_schema(operation_id="get_preferences", responses=PreferencesSerializer, tags=_TAGS)
    def get(self, request: Request) -> Response:
        """Return what you want to be notified of, for each kind of notification. All is on at first."""
        return _respond(current_user(request).pk)

    @extend_schema(
        operation_id="change_preferences",
        request=PreferencesSerializer,
        responses=PreferencesSerializer,
        tags=_TAGS,
    )
    def patch(self, request: Request) -> Response:
        """Change what you want to be notified of; kinds and channels that are missing stay as they are.

        It counts for what happens from now on: what is in the list stays there.
        """
        data = PreferencesSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        user_id = current_user(request).pk
        changes: Mapping[str, Channels] = data.validated_data.get("notifications", {})
        change_preferences(user_id, changes)
        return _respond(user_id)


def _respond(user_id: int) -> Response:
    channels = {kind: chosen._asdict() for kind, chosen in get_preferences(user_id).items()}
    return Response({"notifications": channels})
