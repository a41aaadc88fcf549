"""What a viewer is to other users, in a fixed number of queries whatever their number.

All reads here grant or deny something, or fill a cache: they go to the primary, because a lagging replica
would honour a follow that has ended or miss a block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import CharField, Exists, OuterRef, QuerySet, Value

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

    def can_view_posts(self, is_private: bool) -> bool:
        """Whether the posts of the other, active and private or not, exist for the viewer."""
        return not self.apart and (self.following or not is_private)


_FIELDS = tuple(field.name for field in fields(Relationship))
_ANNOTATION_PREFIX = "relationship_"  # of the annotations: a User has attributes of its own


def annotate_relationship(users: QuerySet[User], viewer_id: int) -> QuerySet[User]:
    """The same users, each with what `read_annotated_relationship` reads. For a queryset of one user.

    Of several, PostgreSQL may prefer to read every follow of the viewer and hash them, which is a million
    rows for some viewers: `fetch_relationships` is for those.
    """
    other = OuterRef("pk")
    columns = {
        "following": Exists(Follow.objects.filter(follower_id=viewer_id, followee_id=other)),
        "requested": Exists(FollowRequest.objects.filter(follower_id=viewer_id, followee_id=other)),
        "followed_by": Exists(Follow.objects.filter(follower_id=other, followee_id=viewer_id)),
        "blocking": Exists(Block.objects.filter(blocker_id=viewer_id, blocked_id=other)),
        "blocked_by": Exists(Block.objects.filter(blocker_id=other, blocked_id=viewer_id)),
        "muting": Exists(Mute.objects.filter(muter_id=viewer_id, muted_id=other)),
    }
    return users.annotate(**{f"{_ANNOTATION_PREFIX}{field}": column for field, column in columns.items()})


def read_annotated_relationship(user: User) -> Relationship:
    """The relationship to a user that was read through `annotate_relationship`."""
    return Relationship(**{field: getattr(user, f"{_ANNOTATION_PREFIX}{field}") for field in _FIELDS})


def fetch_relationships(viewer_id: int, other_ids: Collection[int]) -> dict[int, Relationship]:
    """The viewer's relationship to each of `other_ids`, strangers and unknown ids included; one query.

    A union of probes: it reads at most six rows a user, however many the viewer or they follow.
    """
    if not other_ids:
        return {}
    ids = set(other_ids)
    probes = [
        _probe("following", Follow.objects.filter(follower_id=viewer_id, followee_id__in=ids), "followee_id"),
        _probe("requested", FollowRequest.objects.filter(follower_id=viewer_id, followee_id__in=ids), "followee_id"),
        _probe("followed_by", Follow.objects.filter(followee_id=viewer_id, follower_id__in=ids), "follower_id"),
        _probe("blocking", Block.objects.filter(blocker_id=viewer_id, blocked_id__in=ids), "blocked_id"),
        _probe("blocked_by", Block.objects.filter(blocked_id=viewer_id, blocker_id__in=ids), "blocker_id"),
        _probe("muting", Mute.objects.filter(muter_id=viewer_id, muted_id__in=ids), "muted_id"),
    ]
    found: dict[int, set[str]] = {id_: set() for id_ in ids}
    for field, id_ in probes[0].using(DEFAULT_DB_ALIAS).union(*probes[1:], all=True):
        found[id_].add(field)
    return {id_: Relationship(**dict.fromkeys(true, True)) for id_, true in found.items()}


def _probe(field: str, rows: QuerySet[Any], other: str) -> QuerySet[Any, tuple[str, int]]:
    return rows.values_list(Value(field, output_field=CharField()), other)


def filter_blockers(viewer_id: int, user_ids: Iterable[int]) -> set[int]:
    """Those of `user_ids` who block the viewer, and so do not exist for them."""
    blocks = Block.objects.using(DEFAULT_DB_ALIAS).filter(blocked_id=viewer_id, blocker_id__in=list(user_ids))
    return set(blocks.values_list("blocker_id", flat=True))


def fetch_visible_authors(viewer_id: int) -> list[tuple[int, int]]:
    """Whose posts are in the viewer's feed: (author id, its CelebrityState); one query.

    Everyone followed, less the muted and whoever is apart by a block, and the viewer. Inactive authors are
    included: their author cards decide.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_VISIBLE_AUTHORS, {"viewer": viewer_id})
        return cursor.fetchall()


# Raw, because every cold feed runs it twice: building the same statement in the ORM was most of a cold read (cProfile).
_VISIBLE_AUTHORS = """
SELECT author.id, author.celebrity_state
FROM social_follow AS follow JOIN accounts_user AS author ON author.id = follow.followee_id
WHERE follow.follower_id = %(viewer)s
  AND NOT EXISTS (SELECT FROM social_mute WHERE muter_id = %(viewer)s AND muted_id = author.id)
  AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = %(viewer)s AND blocked_id = author.id)
  AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = author.id AND blocked_id = %(viewer)s)
UNION ALL
SELECT id, celebrity_state FROM accounts_user WHERE id = %(viewer)s
"""
