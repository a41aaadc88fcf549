"""The serializers of posts, comments, likes, saves and reports."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.models import Reason
from instafeed.core.api.fields import ID_PATTERN, IdField, IdInputField, NonBlankCharField, VerbatimCharField
from instafeed.core.api.openapi.components import NON_BLANK_PATTERN, example
from media.api.serializers import PICTURE_EXAMPLE, PictureSerializer
from posts.models import Report, TargetType
from social.api.serializers import PERSON_EXAMPLE, PersonSerializer

MAX_CAPTION_LENGTH, MAX_COMMENT_LENGTH = 2_200, 1_000  # characters
MAX_PICTURES = 10  # of a post

POST_EXAMPLE = {
    "id": "382835763848413185",
    "author": PERSON_EXAMPLE,
    "caption": "The harbour tonight #sunset with @ada",
    "media": [PICTURE_EXAMPLE],
    "hashtags": ["sunset"],
    "mentions": ["ada"],
    "like_count": 7,
    "comment_count": 1,
    "liked": False,
    "saved": False,
    "created_at": "2026-02-01T18:12:05.123456Z",
    "edited_at": None,
    "url": "https://example.org/p/382835763848413185",
}
COMMENT_EXAMPLE: dict[str, Any] = {
    "id": "382835763848413200",
    "post_id": "382835763848413185",
    "author": PERSON_EXAMPLE,
    "text": "What a sky!",
    "reply_to": None,
    "mentions": [],
    "hashtags": [],
    "like_count": 2,
    "liked": False,
    "created_at": "2026-02-01T18:15:41.654321Z",
}
# DRF's own message repeats the value that was sent, up to a megabyte.
_CHOICE_ERRORS: dict[str, Any] = {"invalid_choice": "Not a valid choice."}
_REPORT_EXAMPLE = {"target_type": "post", "target_id": "382835763848413185", "reason": "spam", "note": ""}


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "string", "pattern": ID_PATTERN},
        "uniqueItems": True,
        "description": "Ids of your own media that are in no post yet, in the order they appear in the post.",
    }
)
class MediaIdsField(serializers.ListField):
    """Distinct media ids."""

    child = IdInputField()

    def to_internal_value(self, data: Any) -> list[int]:
        # Check the length first: composing an error for each of 250,000 wrong ids, which fit in a body, takes minutes.
        if isinstance(data, list) and self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        media_ids: list[int] = super().to_internal_value(data)
        if len(set(media_ids)) < len(media_ids):
            raise serializers.ValidationError("Each media id may appear only once.", code="duplicate")
        return media_ids


@extend_schema_serializer(
    component_name="Post", examples=[example("A caption", {"caption": "The harbour tonight #sunset with @ada"})]
)
class PostInputSerializer(serializers.Serializer[Any]):
    """A caption with text, up to ten pictures, or both."""

    schema_rules = {
        "anyOf": [
            {"required": ["caption"], "properties": {"caption": {"pattern": NON_BLANK_PATTERN}}},
            {"required": ["media"], "properties": {"media": {"minItems": 1}}},
        ]
    }

    caption = VerbatimCharField(max_length=MAX_CAPTION_LENGTH, allow_blank=True, default="")
    media = MediaIdsField(max_length=MAX_PICTURES, default=list)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["media"] and not attrs["caption"].strip():
            raise serializers.ValidationError({"caption": "A post needs a caption or media."}, code="required")
        return attrs


@extend_schema_serializer(examples=[example("A new caption", {"caption": "The harbour last night"})])
class CaptionSerializer(serializers.Serializer[Any]):
    caption = VerbatimCharField(max_length=MAX_CAPTION_LENGTH, allow_blank=True)


@extend_schema_serializer(examples=[example("A post", POST_EXAMPLE)], description="A post as the viewer sees it.")
class PostSerializer(serializers.Serializer[Any]):
    """Documents the JSON that `posts.post_cache` renders; used for the schema only."""

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
    url = serializers.URLField(help_text="A link to share: a page or a deep link of an app, as the site has set it up.")


@extend_schema_serializer(
    component_name="LikeState", examples=[example("After a like", {"liked": True, "like_count": 8})]
)
class LikedSerializer(serializers.Serializer[Any]):
    liked = serializers.BooleanField()
    like_count = serializers.IntegerField(min_value=0)


@extend_schema_serializer(component_name="SaveState", examples=[example("After saving", {"saved": True})])
class SavedSerializer(serializers.Serializer[Any]):
    saved = serializers.BooleanField()


@extend_schema_serializer(component_name="Comment", examples=[example("A comment", {"text": "What a sky!"})])
class CommentInputSerializer(serializers.Serializer[Any]):
    text = NonBlankCharField(max_length=MAX_COMMENT_LENGTH)
    reply_to = IdInputField(allow_null=True, default=None, help_text="A comment on the same post.")


@extend_schema_serializer(
    examples=[example("A comment", COMMENT_EXAMPLE)], description="A comment as the viewer sees it."
)
class CommentSerializer(serializers.Serializer[Any]):
    """Documents the JSON that `posts.comment_selectors` renders; used for the schema only."""

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


@extend_schema_serializer(component_name="Report", examples=[example("Advertising", _REPORT_EXAMPLE)])
class ReportInputSerializer(serializers.Serializer[Any]):
    target_type = serializers.ChoiceField(choices=TargetType.choices, error_messages=_CHOICE_ERRORS)
    target_id = IdInputField()
    reason = serializers.ChoiceField(choices=Reason.choices, error_messages=_CHOICE_ERRORS)
    note = VerbatimCharField(max_length=1000, allow_blank=True, default="")


@extend_schema_serializer(
    examples=[
        example(
            "A report", {"id": "382835763848413300", **_REPORT_EXAMPLE, "created_at": "2026-02-01T19:02:30.000001Z"}
        )
    ]
)
class ReportSerializer(serializers.Serializer[Report]):
    id = IdField()
    target_type = serializers.ChoiceField(choices=TargetType.choices)
    target_id = IdField()
    reason = serializers.ChoiceField(choices=Reason.choices)
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
