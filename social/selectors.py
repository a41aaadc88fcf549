"""What a viewer is to other users, in a fixed number of queries whatever their number.

All reads here grant or deny something, or fill a cache: they go to the primary, because a lagging replica
would honour a follow that has ended or miss a block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import User
from social.models import Block, Follow, FollowRequest, Mute


@dataclass(frozen=True, slots=True)
class Relationship:
    """What the viewer is to one other user; all false for a stranger."""

    following: bool = False
    requested: bool = False
    followed_by: bool = False
    blocking: bool = False
    blocked_by: bool = False
    muting: bool = False

    @property
    def apart(self) -> bool:
        """A block either way: neither sees what the other posts."""
        return self.blocking or self.blocked_by


STRANGER = Relationship()
_FIELDS = tuple(field.name for field in fields(Relationship))
_PREFIX = "relationship_"  # of the annotations: a User has attributes of its own


def annotated(users: QuerySet[User], viewer_id: int) -> QuerySet[User]:
    """The same users, each with what `relationship_on` reads; every field is one probe of an index."""
    other = OuterRef("pk")
    columns = {
        "following": Exists(Follow.objects.filter(follower_id=viewer_id, followee_id=other)),
        "requested": Exists(FollowRequest.objects.filter(follower_id=viewer_id, followee_id=other)),
        "followed_by": Exists(Follow.objects.filter(follower_id=other, followee_id=viewer_id)),
        "blocking": Exists(Block.objects.filter(blocker_id=viewer_id, blocked_id=other)),
        "blocked_by": Exists(Block.objects.filter(blocker_id=other, blocked_id=viewer_id)),
        "muting": Exists(Mute.objects.filter(muter_id=viewer_id, muted_id=other)),
    }
    return users.annotate(**{f"{_PREFIX}{field}": column for field, column in columns.items()})


def relationship_on(user: User) -> Relationship:
    """The relationship to a user that was read through `annotated`."""
    return Relationship(**{field: getattr(user, f"{_PREFIX}{field}") for field in _FIELDS})


def relationship(viewer_id: int, other_ids: Iterable[int]) -> dict[int, Relationship]:
    """The viewer's relationship to each of `other_ids`, strangers and unknown ids included; one query."""
    wanted = set(other_ids)
    if not wanted:
        return {}
    users = annotated(User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=wanted).only("pk"), viewer_id)
    known = {user.pk: relationship_on(user) for user in users}
    return {id_: known.get(id_, STRANGER) for id_ in wanted}


def seen_authors(viewer_id: int) -> list[tuple[int, int]]:
    """Whose posts are in the viewer's feed besides their own: (author id, its CelebrityState); one query.

    Everyone followed, less the muted and whoever is apart by a block. Inactive authors are included:
    their author cards decide. In ascending order of ids.
    """
    author = OuterRef("followee_id")
    silent = (
        Exists(Mute.objects.filter(muter_id=viewer_id, muted_id=author)),
        Exists(Block.objects.filter(blocker_id=viewer_id, blocked_id=author)),
        Exists(Block.objects.filter(blocker_id=author, blocked_id=viewer_id)),
    )
    follows = Follow.objects.using(DEFAULT_DB_ALIAS).filter(follower_id=viewer_id)
    for condition in silent:
        follows = follows.filter(~condition)
    return list(follows.order_by("followee_id").values_list("followee_id", "followee__celebrity_state"))
