"""What posts look like on the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from instafeed.api.fields import TextField
from instafeed.ids import parse_id
from social.api.serializers import PersonSerializer


class MediaIdField(serializers.Field[int, Any, str, Any]):
    """A media id as a decimal string; anything else is unknown media."""

    def to_internal_value(self, data: Any) -> int:
        parsed = parse_id(data) if isinstance(data, str) else None
        if parsed is None:
            raise serializers.ValidationError("Not a media id.", code="invalid")
        return parsed

    def to_representation(self, value: int) -> str:
        return str(value)


class PostInputSerializer(serializers.Serializer[Any]):
    caption = TextField(max_length=2200, allow_blank=True, default="")
    media = serializers.ListField(child=MediaIdField(), max_length=10, default=list)

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
