"""What posts look like on the wire."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from instafeed.api.fields import IdField, IdTextField, TextField, WordsField
from instafeed.api.schema import ID_PATTERN, WORDS_PATTERN, example
from media.api.serializers import PICTURE, PictureSerializer
from posts.models import Reason, Report, TargetType
from social.api.serializers import PERSON, PersonSerializer

POST = {
    "id": "382835763848413185",
    "author": PERSON,
    "caption": "The harbour tonight #sunset with @ada",
    "media": [PICTURE],
    "hashtags": ["sunset"],
    "mentions": ["ada"],
    "like_count": 7,
    "comment_count": 1,
    "liked": False,
    "saved": False,
    "created_at": "2026-02-01T18:12:05.123456Z",
    "edited_at": None,
}
COMMENT: dict[str, Any] = {
    "id": "382835763848413200",
    "post_id": "382835763848413185",
    "author": PERSON,
    "text": "What a sky!",
    "reply_to": None,
    "mentions": [],
    "hashtags": [],
    "like_count": 2,
    "liked": False,
    "created_at": "2026-02-01T18:15:41.654321Z",
}
# Of its own: that of DRF repeats what was sent, up to a megabyte.
_NO_CHOICE: dict[str, Any] = {"invalid_choice": "Not one of the choices."}
_REPORT = {"target_type": "post", "target_id": "382835763848413185", "reason": "spam", "note": ""}


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "string", "pattern": ID_PATTERN},
        "uniqueItems": True,
        "description": "Pictures of your own that no post has yet, in the order of the post.",
    }
)
class MediaIdsField(serializers.ListField):
    """Ids of media, each named once."""

    child = IdTextField()

    def to_internal_value(self, data: Any) -> list[int]:
        # First, as an error for each of 250,000 wrong ids, which fit in a body, takes minutes to compose.
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        media_ids: list[int] = super().to_internal_value(data)
        if len(set(media_ids)) < len(media_ids):
            raise serializers.ValidationError("Some media are named twice.", code="duplicate")
        return media_ids


@extend_schema_serializer(
    component_name="Post", examples=[example("A caption", {"caption": "The harbour tonight #sunset with @ada"})]
)
class PostInputSerializer(serializers.Serializer[Any]):
    schema_rules = {
        "anyOf": [
            {"required": ["caption"], "properties": {"caption": {"pattern": WORDS_PATTERN}}},
            {"required": ["media"], "properties": {"media": {"minItems": 1}}},
        ]
    }

    caption = TextField(max_length=2200, allow_blank=True, default="")
    media = MediaIdsField(max_length=10, default=list)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["media"] and not attrs["caption"].strip():
            raise serializers.ValidationError({"caption": "A post needs a caption or media."}, code="required")
        return attrs


@extend_schema_serializer(examples=[example("A new caption", {"caption": "The harbour last night"})])
class CaptionSerializer(serializers.Serializer[Any]):
    caption = TextField(max_length=2200, allow_blank=True)


@extend_schema_serializer(examples=[example("A post", POST)], description="A post, as whoever asks sees it.")
class PostSerializer(serializers.Serializer[Any]):
    """Documents what `posts.cards` composes; never runs."""

    id = IdField()
    author = PersonSerializer()
    caption = serializers.CharField()
    media = PictureSerializer(many=True)
    hashtags = serializers.ListField(child=serializers.CharField())
    mentions = serializers.ListField(child=serializers.CharField())
    like_count = serializers.IntegerField(min_value=0)
    comment_count = serializers.IntegerField(min_value=0)
    liked = serializers.BooleanField()
    saved = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)


@extend_schema_serializer(examples=[example("After a like", {"liked": True, "like_count": 8})])
class LikedSerializer(serializers.Serializer[Any]):
    liked = serializers.BooleanField()
    like_count = serializers.IntegerField(min_value=0)


@extend_schema_serializer(examples=[example("After saving", {"saved": True})])
class SavedSerializer(serializers.Serializer[Any]):
    saved = serializers.BooleanField()


@extend_schema_serializer(component_name="Comment", examples=[example("A comment", {"text": "What a sky!"})])
class CommentInputSerializer(serializers.Serializer[Any]):
    text = WordsField(max_length=1000)
    reply_to = IdTextField(allow_null=True, default=None, help_text="A comment on the same post.")


@extend_schema_serializer(examples=[example("A comment", COMMENT)], description="A comment, as whoever asks sees it.")
class CommentSerializer(serializers.Serializer[Any]):
    """Documents what `posts.comments` composes; never runs."""

    id = IdField()
    post_id = IdField()
    author = PersonSerializer()
    text = serializers.CharField()
    reply_to = serializers.CharField(allow_null=True)
    mentions = serializers.ListField(child=serializers.CharField())
    hashtags = serializers.ListField(child=serializers.CharField())
    like_count = serializers.IntegerField(min_value=0)
    liked = serializers.BooleanField()
    created_at = serializers.DateTimeField()


@extend_schema_serializer(component_name="Report", examples=[example("Advertising", _REPORT)])
class ReportInputSerializer(serializers.Serializer[Any]):
    target_type = serializers.ChoiceField(choices=TargetType.choices, error_messages=_NO_CHOICE)
    target_id = IdTextField()
    reason = serializers.ChoiceField(choices=Reason.choices, error_messages=_NO_CHOICE)
    note = TextField(max_length=1000, allow_blank=True, default="")


@extend_schema_serializer(
    examples=[example("A report", {"id": "382835763848413300", **_REPORT, "created_at": "2026-02-01T19:02:30.000001Z"})]
)
class ReportSerializer(serializers.Serializer[Report]):
    id = IdField()
    target_type = serializers.ChoiceField(choices=TargetType.choices)
    target_id = IdField()
    reason = serializers.ChoiceField(choices=Reason.choices)
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
