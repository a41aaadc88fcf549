"""What posts look like on the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from instafeed.api.fields import IdField, IdTextField, TextField
from posts.models import Reason, Report, TargetType
from social.api.serializers import PersonSerializer


class PostInputSerializer(serializers.Serializer[Any]):
    caption = TextField(max_length=2200, allow_blank=True, default="")
    media = serializers.ListField(child=IdTextField(), max_length=10, default=list)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["media"] and not attrs["caption"].strip():
            raise serializers.ValidationError({"caption": "A post needs a caption or media."}, code="required")
        return attrs


class CaptionSerializer(serializers.Serializer[Any]):
    caption = TextField(max_length=2200, allow_blank=True)


class PostPictureSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    kind = serializers.ChoiceField(choices=["image"])
    url = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    blurhash = serializers.CharField(allow_null=True)
    alt_text = serializers.CharField()
    variants = serializers.DictField()


class PostSerializer(serializers.Serializer[Any]):
    """Documents what `posts.cards` composes; never runs."""

    id = serializers.CharField()
    author = PersonSerializer()
    caption = serializers.CharField()
    media = PostPictureSerializer(many=True)
    hashtags = serializers.ListField(child=serializers.CharField())
    mentions = serializers.ListField(child=serializers.CharField())
    like_count = serializers.IntegerField()
    comment_count = serializers.IntegerField()
    liked = serializers.BooleanField()
    saved = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)


class LikedSerializer(serializers.Serializer[Any]):
    liked = serializers.BooleanField()
    like_count = serializers.IntegerField(min_value=0)


class SavedSerializer(serializers.Serializer[Any]):
    saved = serializers.BooleanField()


class CommentInputSerializer(serializers.Serializer[Any]):
    text = TextField(max_length=1000)
    reply_to = IdTextField(allow_null=True, default=None)

    def validate_text(self, value: str) -> str:
        if not value.strip():
            raise serializers.ValidationError("A comment needs a text.", code="blank")
        return value


class CommentSerializer(serializers.Serializer[Any]):
    """Documents what `posts.comments` composes; never runs."""

    id = serializers.CharField()
    post_id = serializers.CharField()
    author = PersonSerializer()
    text = serializers.CharField()
    reply_to = serializers.CharField(allow_null=True)
    mentions = serializers.ListField(child=serializers.CharField())
    hashtags = serializers.ListField(child=serializers.CharField())
    like_count = serializers.IntegerField(min_value=0)
    liked = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class ReportInputSerializer(serializers.Serializer[Any]):
    target_type = serializers.ChoiceField(choices=TargetType.choices)
    target_id = IdTextField()
    reason = serializers.ChoiceField(choices=Reason.choices)
    note = TextField(max_length=1000, allow_blank=True, default="")


class ReportSerializer(serializers.Serializer[Report]):
    id = IdField()
    target_type = serializers.CharField()
    target_id = IdField()
    reason = serializers.CharField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
