"""What users and relations look like on the wire."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.serializers import ProfileSerializer
from accounts.models import User
from social.selectors import Relationship


class RelationshipSerializer(serializers.Serializer[Relationship]):
    """What the viewer is to the user. Who was blocked by them does not see them at all."""

    following = serializers.BooleanField()
    requested = serializers.BooleanField()
    followed_by = serializers.BooleanField()
    blocking = serializers.BooleanField()
    muting = serializers.BooleanField()


class SeenProfileSerializer(ProfileSerializer):
    """A profile as one viewer sees it; `relationship` comes from the context."""

    relationship = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = (*ProfileSerializer.Meta.fields, "relationship")
        read_only_fields = fields

    @extend_schema_field(RelationshipSerializer(allow_null=True))
    def get_relationship(self, user: User) -> dict[str, bool] | None:
        relation = self.context["relationship"]
        return None if relation is None else RelationshipSerializer(relation).data


class PersonSerializer(serializers.Serializer[Any]):
    """Documents what `accounts.cards` renders; never runs."""

    id = serializers.CharField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    avatar_url = serializers.CharField(allow_null=True)
    is_celebrity = serializers.BooleanField()


class FollowStateSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=["following", "requested"])
