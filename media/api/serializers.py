"""What media look like on the wire."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from instafeed.core.api.fields import IdField, NonBlankCharField, VerbatimCharField
from instafeed.core.api.openapi.components import example
from media import storage, variants
from media.models import Media, Status
from media.uploads import CONTENT_TYPES

_EXAMPLE_ID = "382835763848413190"
_VARIANT_EXAMPLE = {"url": "https://cdn.example/public/Yb1nM0f3rQ8/320.webp", "width": 320, "height": 240}
PICTURE_EXAMPLE: dict[str, Any] = {
    "id": _EXAMPLE_ID,
    "kind": "image",
    "url": "https://cdn.example/public/Yb1nM0f3rQ8/1080.webp",
    "width": 4032,
    "height": 3024,
    "blurhash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    "alt_text": "A harbour at dusk",
    "variants": {"320": _VARIANT_EXAMPLE},
}
_READY_EXAMPLE = PICTURE_EXAMPLE | {"status": "ready", "error": None}
_NOT_READY_FIELDS: dict[str, Any] = {"width": None, "height": None, "blurhash": None, "url": None, "variants": {}}
_PROCESSING_EXAMPLE = _READY_EXAMPLE | _NOT_READY_FIELDS | {"status": "processing"}
_FORM_EXAMPLE = {"key": "incoming/Yb1nM0f3rQ8", "Content-Type": "image/jpeg", "policy": "eyJleHAi…"}
_UPLOAD_EXAMPLE = {
    "id": _EXAMPLE_ID,
    "upload": {"method": "POST", "url": "https://bucket.s3.example/", "fields": _FORM_EXAMPLE},
}


KINDS = ["image"]
STATUSES = [status.label for status in Status]


class VariantSerializer(serializers.Serializer[Any]):
    url = serializers.URLField(help_text="WebP.")
    width = serializers.IntegerField(min_value=1)
    height = serializers.IntegerField(min_value=1)
    jpeg_url = serializers.URLField(required=False, help_text="The same as JPEG, where the service makes those.")


class PictureSerializer(serializers.Serializer[Any]):
    """A picture as posts show it."""

    id = IdField()
    kind = serializers.ChoiceField(choices=KINDS)
    url = serializers.URLField(allow_null=True, help_text="The largest variant; null until it is ready.")
    width = serializers.IntegerField(min_value=1, allow_null=True, help_text="Of the upright original.")
    height = serializers.IntegerField(min_value=1, allow_null=True)
    blurhash = serializers.CharField(allow_null=True)
    alt_text = serializers.CharField()
    variants = serializers.DictField(
        child=VariantSerializer(), help_text="By longest side: 150, 320, 640, 1080; empty until it is ready."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(name, value, status_codes=["200", "202"])
        for name, value in (("Ready", _READY_EXAMPLE), ("In the making", _PROCESSING_EXAMPLE))
    ]
)
class MediaSerializer(PictureSerializer):
    status = serializers.ChoiceField(choices=STATUSES)
    error = serializers.CharField(allow_null=True, help_text="Why it failed.")

    def to_representation(self, instance: Media) -> dict[str, Any]:
        shown = variants.serialize(instance, storage.url)
        return shown | {"status": instance.get_status_display(), "error": instance.error or None}


@extend_schema_field(
    {
        "type": "object",
        "required": ["method", "url", "fields"],
        "properties": {
            "method": {"type": "string", "enum": ["POST"]},
            "url": {"type": "string", "format": "uri"},
            "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "description": "A form to be sent as multipart/form-data: all `fields`, then the file as `file`.",
    }
)
class UploadField(serializers.JSONField):
    pass


@extend_schema_serializer(examples=[example("Send the file here", _UPLOAD_EXAMPLE)])
class UploadSerializer(serializers.Serializer[Any]):
    id = IdField()
    upload = UploadField(read_only=True)


@extend_schema_serializer(
    component_name="Upload",
    examples=[example("A photo", {"filename": "IMG_1.jpg", "content_type": "image/jpeg", "size": 2_400_000})],
)
class UploadInputSerializer(serializers.Serializer[Any]):
    filename = NonBlankCharField(max_length=255, help_text="Not looked at: what counts is the content.")
    content_type = serializers.ChoiceField(choices=CONTENT_TYPES, error_messages={"invalid_choice": "Not accepted."})
    size = serializers.IntegerField(min_value=1, max_value=settings.MEDIA_MAX_BYTES, help_text="Bytes.")
    alt_text = VerbatimCharField(max_length=1000, allow_blank=True, default="")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A photo",
            {"file": "…", "alt_text": "A harbour at dusk"},
            request_only=True,
            media_type="multipart/form-data",
        )
    ]
)
class FileInputSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(
        max_length=None, allow_empty_file=True, help_text="JPEG, PNG, WebP, AVIF, HEIC or GIF (its first frame)."
    )
    alt_text = VerbatimCharField(max_length=1000, allow_blank=True, default="")
