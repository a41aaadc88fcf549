"""Serializers of users, profiles and relationships."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.serializers import PROFILE_EXAMPLE, ProfileSerializer, StoredUsernameField
from accounts.models import User
from instafeed.core.api.fields import IdField
from instafeed.core.api.openapi.components import example
from social.selectors import Relationship

PERSON_EXAMPLE = {
    field: PROFILE_EXAMPLE[field] for field in ("id", "username", "display_name", "avatar_url", "is_celebrity")
}
_RELATIONSHIP_EXAMPLE = {
    "following": True,
    "requested": False,
    "followed_by": False,
    "blocking": False,
    "muting": False,
}


class RelationshipSerializer(serializers.Serializer[Relationship]):
    """The viewer's relationship to the user. A user who blocks the viewer is not visible at all (404)."""

    following = serializers.BooleanField()
    requested = serializers.BooleanField()
    followed_by = serializers.BooleanField()
    blocking = serializers.BooleanField()
    muting = serializers.BooleanField()


@extend_schema_serializer(examples=[example("A profile", {**PROFILE_EXAMPLE, "relationship": _RELATIONSHIP_EXAMPLE})])
class SeenProfileSerializer(ProfileSerializer):
    """A profile with the viewer's relationship to it, which is null for anonymous viewers and the own profile."""

    relationship = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = (*ProfileSerializer.Meta.fields, "relationship")
        read_only_fields = fields

    @extend_schema_field(RelationshipSerializer(allow_null=True))
    def get_relationship(self, user: User) -> dict[str, bool] | None:
        relationship = self.context["relationship"]
        return None if relationship is None else RelationshipSerializer(relationship).data


@extend_schema_serializer(examples=[example("A person", PERSON_EXAMPLE)], description="A summary of a user.")
class PersonSerializer(serializers.Serializer[Any]):
    """Documents the JSON that `accounts.user_cache` renders. It is never executed."""

    id = IdField()
    username = StoredUsernameField()
    display_name = serializers.CharField()
    avatar_url = serializers.CharField(allow_null=True)
    is_celebrity = serializers.BooleanField()


@extend_schema_serializer(examples=[example("At once", {"state": "following"})])
class FollowStateSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=["following", "requested"])
