"""The rows of this app in the export, for the OpenAPI document. A test compares them with an export."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from instafeed.core.api.fields import IdField


class ExportedRelationSerializer(serializers.Serializer[Any]):
    """Another user, and since when they are in this list."""

    id = IdField()
    username = serializers.CharField(allow_null=True, help_text="Null if you cannot see the user.")
    since = serializers.DateTimeField()


class ExportedMessageSerializer(serializers.Serializer[Any]):
    """A message of the moderators."""

    text = serializers.CharField()
    post_id = IdField(allow_null=True)
    comment_id = IdField(allow_null=True)
    created_at = serializers.DateTimeField()


class ExportedPreferenceSerializer(serializers.Serializer[Any]):
    """Where you are notified of a kind of thing, if you have chosen."""

    kind = serializers.CharField()
    in_app = serializers.BooleanField()
    push = serializers.BooleanField()


class ExportedPushSubscriptionSerializer(serializers.Serializer[Any]):
    """A browser to which the site sends push messages."""

    session_id = IdField()
    push_service = serializers.CharField(help_text="Where the messages are sent, without the address of the browser.")
    created_at = serializers.DateTimeField()
