"""The rows of this app in the export, for the OpenAPI document. A test compares them with an export."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.models import Reason
from instafeed.core.api.fields import IdField
from posts.models import TargetType
from social.models import NotificationKind


class ExportedMediaIdSerializer(serializers.Serializer[Any]):
    """A picture of a post. The section `media` has its details."""

    id = IdField()


class ExportedPostSerializer(serializers.Serializer[Any]):
    """A post."""

    id = IdField()
    caption = serializers.CharField()
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)
    hidden_at = serializers.DateTimeField(allow_null=True, help_text="When a moderator hid it.")
    hashtags = serializers.ListField(child=serializers.CharField())
    mentions = serializers.ListField(child=serializers.CharField())
    media = ExportedMediaIdSerializer(many=True)
    like_count = serializers.IntegerField()
    comment_count = serializers.IntegerField()
    url = serializers.URLField()


class ExportedCommentSerializer(serializers.Serializer[Any]):
    """A comment."""

    id = IdField()
    post_id = IdField()
    reply_to_id = IdField(allow_null=True)
    text = serializers.CharField()
    created_at = serializers.DateTimeField()
    hidden_at = serializers.DateTimeField(allow_null=True, help_text="When a moderator hid it.")


class ExportedPostMarkSerializer(serializers.Serializer[Any]):
    """A like or save of a post."""

    post_id = IdField()
    created_at = serializers.DateTimeField()


class ExportedCommentLikeSerializer(serializers.Serializer[Any]):
    """A like of a comment."""

    comment_id = IdField()
    created_at = serializers.DateTimeField()


class ExportedReportSerializer(serializers.Serializer[Any]):
    """A report to the moderators."""

    id = IdField()
    target_type = serializers.ChoiceField(choices=TargetType.choices)
    target_id = IdField()
    reason = serializers.ChoiceField(choices=Reason.choices)
    note = serializers.CharField()
    created_at = serializers.DateTimeField()


class ExportedNotificationSerializer(serializers.Serializer[Any]):
    """A notification."""

    kind = serializers.ChoiceField(choices=NotificationKind.choices)
    actor_ids = serializers.ListField(child=IdField())
    actor_count = serializers.IntegerField()
    post_id = IdField(allow_null=True)
    comment_id = IdField(allow_null=True)
    created_at = serializers.DateTimeField()
    read = serializers.BooleanField()
    dismissed = serializers.BooleanField()
