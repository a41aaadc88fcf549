"""The rows of this app in the export, for the OpenAPI document. A test compares them with an export."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instafeed.core.api.fields import IdField


class ExportedProfileSerializer(serializers.Serializer[Any]):
    """The account itself."""

    id = IdField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    bio = serializers.CharField()
    website = serializers.CharField(help_text="A URL, or empty.")
    is_private = serializers.BooleanField()
    is_staff = serializers.BooleanField()
    post_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    last_login = serializers.DateTimeField(allow_null=True)
    email = serializers.CharField(help_text="Empty for imported accounts without an address.")
    email_verified = serializers.BooleanField()
    follower_count = serializers.IntegerField()
    following_count = serializers.IntegerField()
    avatar_url = serializers.CharField(allow_null=True)
    is_celebrity = serializers.BooleanField()
    invite_id = serializers.CharField(allow_null=True, help_text="The invite that the account was registered with.")
    groups = serializers.ListField(child=serializers.CharField(), help_text="Groups of staff accounts.")


class ExportedSessionSerializer(serializers.Serializer[Any]):
    """A sign-in."""

    created_at = serializers.DateTimeField()
    refreshed_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField()
    client = serializers.CharField(help_text="The app or browser. May be empty.")
    address = serializers.CharField(help_text="The address of the sign-in or the last refresh. May be empty.")


class ExportedFormerUsernameSerializer(serializers.Serializer[Any]):
    """A name that the account had and that is reserved to it."""

    username = serializers.CharField()
    given_up_at = serializers.DateTimeField()
    reserved_until = serializers.DateTimeField()


class ExportedSecondFactorSerializer(serializers.Serializer[Any]):
    """The second factor, without its secret."""

    enabled = serializers.BooleanField(help_text="False while it is being set up.")
    created_at = serializers.DateTimeField()
    unused_recovery_codes = serializers.IntegerField()


class ExportedMailSerializer(serializers.Serializer[Any]):
    """A mail that waits to be sent, or could not be delivered."""

    kind = serializers.CharField()
    address = serializers.CharField()
    created_at = serializers.DateTimeField()
    details = serializers.DictField(help_text="Values for the text, such as the device of a sign-in.")


class ExportedMailedLinkSerializer(serializers.Serializer[Any]):
    """A link that was mailed and has not been used."""

    purpose = serializers.CharField()
    address = serializers.CharField()
    expires_at = serializers.DateTimeField()


class ExportedModerationSerializer(serializers.Serializer[Any]):
    """What the moderators did with the account or its content."""

    action = serializers.CharField()
    target_type = serializers.CharField()
    target_id = serializers.CharField()
    reason = serializers.CharField(allow_null=True, help_text="The text of a warning; null for other actions.")
    created_at = serializers.DateTimeField()


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class _AnswerField(serializers.JSONField):
    pass


class ExportedAnswerSerializer(serializers.Serializer[Any]):
    """A response that is kept for requests repeated with the same `Idempotency-Key`."""

    created_at = serializers.DateTimeField()
    status = serializers.IntegerField()
    answer = _AnswerField()
