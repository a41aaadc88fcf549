"""Read relations between users in a fixed number of queries, however many users are asked for.

Most reads here decide about access or fill a cache. They go to the primary, because a lagging replica could still have
a follow that has ended, or not yet have a block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import CharField, Exists, OuterRef, QuerySet, Value

from accounts.models import User
from social.models import Block, Follow, FollowRequest, Mute


@dataclass(frozen=True, slots=True)
class Relationship:
    """The viewer's relationship to one other user; all fields are false for a stranger."""

    following: bool = False
    requested: bool = False
    followed_by: bool = False
    blocking: bool = False
    blocked_by: bool = False
    muting: bool = False

    @property
    def is_blocked_either_way(self) -> bool:
        """Whether either user blocks the other. Then neither sees the other's posts."""
        return self.blocking or self.blocked_by

    def can_view_posts(self, is_private: bool) -> bool:
        """Return whether the viewer may see the posts of the other user, an active account, private or not."""
        return not self.is_blocked_either_way and (self.following or not is_private)


_FIELDS = tuple(field.name for field in fields(Relationship))
_ANNOTATION_PREFIX = "relationship_"  # keeps the annotations apart from the attributes of User


def annotate_relationship(users: QuerySet[User], viewer_id: int) -> QuerySet[User]:
    """Annotate a queryset of one user with the viewer's relationship; see `read_annotated_relationship`.

    For several users PostgreSQL may read and hash all follows of the viewer, which can be a million rows. Use
    `fetch_relationships` for those.
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
    """Return the relationship to a user who was read through `annotate_relationship`."""
    return Relationship(**{field: getattr(user, f"{_ANNOTATION_PREFIX}{field}") for field in _FIELDS})


def fetch_relationships(viewer_id: int, other_ids: Collection[int]) -> dict[int, Relationship]:
    """Return the viewer's relationship to each of `other_ids`, strangers and unknown ids included, in one query.

    The query is a union of index probes. It reads at most six rows for each user, however many users they follow.
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
    return {id_: Relationship(**dict.fromkeys(true_fields, True)) for id_, true_fields in found.items()}


def _probe(field: str, rows: QuerySet[Any], other: str) -> QuerySet[Any, tuple[str, int]]:
    return rows.values_list(Value(field, output_field=CharField()), other)


def filter_blockers(viewer_id: int, user_ids: Iterable[int]) -> set[int]:
    """Return those of `user_ids` who block the viewer and therefore do not exist for them."""
    blocks = Block.objects.using(DEFAULT_DB_ALIAS).filter(blocked_id=viewer_id, blocker_id__in=list(user_ids))
    return set(blocks.values_list("blocker_id", flat=True))


# Raw: the ORM has no array of a subquery's rows.
_FOLLOWER_PAGES = """
SELECT ARRAY(
    SELECT follower_id FROM social_follow WHERE followee_id = page.author_id AND follower_id > page.after
    ORDER BY follower_id LIMIT %s
)
FROM unnest(%s::bigint[], %s::bigint[]) WITH ORDINALITY AS page(author_id, after, number) ORDER BY number
"""


def fetch_follower_pages(starts: Sequence[tuple[int, int]], limit: int) -> list[list[int]]:
    """Return for each (author id, follower id) up to `limit` ids of the author's followers above that id, ascending.

    Fan-out walks the followers of many authors with it, in one query. Start with 0; a short page is the last. A user
    who follows during the whole walk appears exactly once, although others follow and unfollow during it. Reads the
    primary, because a replica might lack a follower who must receive the post. The primary key has this order, so a
    page is one index-only range scan, however many followers there are.
    """
    author_ids, after = [author_id for author_id, _ in starts], [follower_id for _, follower_id in starts]
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_FOLLOWER_PAGES, [limit, author_ids, after])
        return [follower_ids for (follower_ids,) in cursor.fetchall()]


def filter_followers(author_ids: Collection[int], user_ids: Collection[int]) -> set[int]:
    """Return those of `user_ids` who follow one of the authors: an index probe for each pair."""
    follows = Follow.objects.using(DEFAULT_DB_ALIAS).filter(follower_id__in=user_ids, followee_id__in=author_ids)
    return set(follows.values_list("follower_id", flat=True))


# Raw: every cold feed runs it twice, and building the statement in the ORM was most of a cold read (cProfile).
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


def fetch_visible_authors(viewer_id: int) -> list[tuple[int, int]]:
    """Return (author id, CelebrityState) of each author in the viewer's home feed, in one query.

    These are the viewer and everyone they follow, without muted users and users blocked either way. Inactive authors
    are included; their cached summaries exclude them later.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_VISIBLE_AUTHORS, {"viewer": viewer_id})
        return cursor.fetchall()
