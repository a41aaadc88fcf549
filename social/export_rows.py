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


class ExportedWarningSerializer(serializers.Serializer[Any]):
    """A warning by the moderators."""

    text = serializers.CharField()
    post_id = IdField(allow_null=True)
    comment_id = IdField(allow_null=True)
    created_at = serializers.DateTimeField()
