"""Serializers of users, profiles and relationships."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.serializers import PROFILE_EXAMPLE, ProfileSerializer, StoredUsernameField
from accounts.models import User
from instafeed.core.api.fields import IdField
from instafeed.core.api.openapi.components import example
from instafeed.core.db.snowflake import parse_id
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


MAX_RELATIONSHIPS = 100  # that one call returns


class RelationshipSerializer(serializers.Serializer[Relationship]):
    """The viewer's relationship to the user. A user who blocks the viewer is not visible at all (404)."""

    following = serializers.BooleanField()
    requested = serializers.BooleanField()
    followed_by = serializers.BooleanField()
    blocking = serializers.BooleanField()
    muting = serializers.BooleanField()


@extend_schema_serializer(
    component_name="Profile",
    examples=[example("A profile", {**PROFILE_EXAMPLE, "relationship": _RELATIONSHIP_EXAMPLE})],
)
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


@extend_schema_serializer(
    examples=[example("A person", {**PERSON_EXAMPLE, "relationship": _RELATIONSHIP_EXAMPLE})],
    description="A summary of a user in a list.",
)
class ListedPersonSerializer(PersonSerializer):
    relationship = RelationshipSerializer(
        allow_null=True, help_text="Your relationship to the user; null for yourself."
    )


@extend_schema_serializer(examples=[example("A relationship", {"id": "42", "relationship": _RELATIONSHIP_EXAMPLE})])
class UserRelationshipSerializer(serializers.Serializer[Any]):
    """The viewer's relationship to one of the users asked for."""

    id = IdField()
    relationship = RelationshipSerializer(
        allow_null=True, help_text="Your relationship to the user; null for yourself."
    )


class UserIdsField(serializers.Field[list[int], str, str, Any]):
    """Ids in a query parameter, separated by commas."""

    default_error_messages = {
        "invalid": "Not a list of ids separated by commas.",
        "max_length": "At most 100 ids at once.",
    }

    def to_internal_value(self, data: str) -> list[int]:
        if data.count(",") >= MAX_RELATIONSHIPS:
            self.fail("max_length")
        ids = [parse_id(part.strip()) for part in data.split(",")]
        if None in ids:
            self.fail("invalid")
        return list(dict.fromkeys(id_ for id_ in ids if id_ is not None))


class RelationshipsQuerySerializer(serializers.Serializer[Any]):
    ids = UserIdsField()


@extend_schema_serializer(examples=[example("At once", {"state": "following"})])
class FollowStateSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=["following", "requested"])
