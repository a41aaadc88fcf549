"""Follower and following counts, moved in the transaction that adds or removes the follows.

Last in the transaction: the row of a much-followed user is locked from here to the commit, and no longer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal

from django.db import DEFAULT_DB_ALIAS
from django.db.models import F
from django.db.models.functions import Greatest

from accounts.models import User
from social.models import Follow
from social.signals import audience_changed

Edge = tuple[int, int]  # follower id, followee id


def count_follows(edges: Collection[Edge], step: Literal[1, -1]) -> None:
    """Count `edges`, which have just been inserted (1) or deleted (-1), and announce the new counts.

    Rows are locked in ascending order of user ids. A count that drifted stops at zero instead of failing.
    """
    if not edges:
        return
    followers = Counter(followee for _, followee in edges)
    following = Counter(follower for follower, _ in edges)
    for user_id in sorted(followers.keys() | following.keys()):
        _move([user_id], step * followers[user_id], step * following[user_id])
    audience_changed.send(sender=Follow, author_ids=sorted(followers))


def count_new_followers(followee_id: int, follower_ids: Collection[int]) -> None:
    """The same for one account that many begin to follow at once, in a fixed number of statements.

    An UPDATE of many rows locks them in whatever order it meets them, so they are locked beforehand.
    """
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in={followee_id, *follower_ids})
    list(users.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    _move(follower_ids, 0, 1)
    _move([followee_id], len(follower_ids), 0)
    audience_changed.send(sender=Follow, author_ids=[followee_id])


def _move(user_ids: Iterable[int], followers: int, following: int) -> None:
    moves = {"follower_count": followers, "following_count": following}
    counts = {name: Greatest(F(name) + move, 0) for name, move in moves.items() if move}
    User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=user_ids).update(**counts)
