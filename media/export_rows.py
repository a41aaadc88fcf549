"""The rows of this app in the export, for the OpenAPI document. A test compares them with an export."""

from __future__ import annotations

from rest_framework import serializers

from media.api.serializers import STATUSES, PictureSerializer


class ExportedPictureSerializer(PictureSerializer):
    """A picture."""

    content_type = serializers.CharField(help_text="What the upload declared; may be empty.")
    size = serializers.IntegerField(help_text="Size of the uploaded file in bytes.")
    error = serializers.CharField(allow_null=True, help_text="Why processing failed.")
    status = serializers.ChoiceField(choices=STATUSES)
    created_at = serializers.DateTimeField()
