"""Serializers of media."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
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


MAX_ALT_TEXT_LENGTH = 1_000  # characters
KINDS = ["image"]
STATUSES = [status.label for status in Status]


class VariantSerializer(serializers.Serializer[Any]):
    url = serializers.URLField(help_text="URL of the WebP file. URLs of private pictures expire.")
    width = serializers.IntegerField(min_value=1)
    height = serializers.IntegerField(min_value=1)
    jpeg_url = serializers.URLField(
        required=False, help_text="The same variant as JPEG, if the service is configured to make them."
    )


class PictureSerializer(serializers.Serializer[Any]):
    """A picture as posts show it."""

    id = IdField()
    kind = serializers.ChoiceField(choices=KINDS)
    url = serializers.URLField(
        allow_null=True, help_text="URL of the largest variant. Null until the picture is ready."
    )
    width = serializers.IntegerField(
        min_value=1, allow_null=True, help_text="Width of the upright original, in pixels. Null until it is known."
    )
    height = serializers.IntegerField(
        min_value=1, allow_null=True, help_text="Height of the upright original, in pixels. Null until it is known."
    )
    blurhash = serializers.CharField(allow_null=True, help_text="Placeholder to show while the picture loads.")
    alt_text = serializers.CharField()
    variants = serializers.DictField(
        child=VariantSerializer(),
        help_text="Variants by longest side in pixels: 150, 320, 640, 1080. Empty until ready.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(name, value, status_codes=["200", "202"])
        for name, value in (("Ready", _READY_EXAMPLE), ("Processing", _PROCESSING_EXAMPLE))
    ]
)
class MediaSerializer(PictureSerializer):
    """One of your own pictures, with the state of its processing."""

    status = serializers.ChoiceField(choices=STATUSES)
    error = serializers.CharField(allow_null=True, help_text="Why processing failed, as a text for the owner.")

    def to_representation(self, instance: Media) -> dict[str, Any]:
        data = variants.serialize(instance, storage.url)
        return data | {"status": instance.get_status_display(), "error": instance.error or None}


class UploadFormSerializer(serializers.Serializer[Any]):
    """A form to send as multipart/form-data: first all `fields`, then the file as the field `file`."""

    method = serializers.ChoiceField(choices=["POST"])
    url = serializers.URLField()
    # Of the class and not an attribute, because a serializer's own `fields` are its fields.
    fields = serializers.DictField(child=serializers.CharField())  # type: ignore[assignment]


@extend_schema_serializer(component_name="DirectUpload", examples=[example("Send the file here", _UPLOAD_EXAMPLE)])
class UploadSerializer(serializers.Serializer[Any]):
    """A picture to upload, with the form that uploads it."""

    id = IdField()
    upload = UploadFormSerializer()


@extend_schema_serializer(
    component_name="DirectUpload",
    examples=[example("A photo", {"filename": "IMG_1.jpg", "content_type": "image/jpeg", "size": 2_400_000})],
)
class UploadInputSerializer(serializers.Serializer[Any]):
    filename = NonBlankCharField(max_length=255, help_text="Ignored. The format is detected from the content.")
    content_type = serializers.ChoiceField(choices=CONTENT_TYPES, error_messages={"invalid_choice": "Not accepted."})
    size = serializers.IntegerField(
        min_value=1, max_value=settings.MEDIA_MAX_BYTES, help_text="Size of the file in bytes."
    )
    alt_text = VerbatimCharField(max_length=MAX_ALT_TEXT_LENGTH, allow_blank=True, default="")


@extend_schema_serializer(examples=[example("An alt text", {"alt_text": "A harbour at dusk, seen from a boat"})])
class AltTextSerializer(serializers.Serializer[Any]):
    alt_text = VerbatimCharField(max_length=MAX_ALT_TEXT_LENGTH, allow_blank=True)


@extend_schema_serializer(
    component_name="MediaUpload",
    examples=[
        OpenApiExample(
            "A photo",
            {"file": "…", "alt_text": "A harbour at dusk"},
            request_only=True,
            media_type="multipart/form-data",
        )
    ],
)
class FileInputSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(
        max_length=None,
        allow_empty_file=True,
        help_text="JPEG, PNG, WebP, AVIF, HEIC, or GIF (only its first frame is used).",
    )
    alt_text = VerbatimCharField(max_length=MAX_ALT_TEXT_LENGTH, allow_blank=True, default="")
