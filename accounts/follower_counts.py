"""Follower and following counts, exact at every moment although nobody waits for the row that holds them.

A follow does not add to the row of the followed, for which all their new followers would queue: it appends a
`CountChange`. A count is the row and the changes that are not in it yet. Both are read by one statement, so as of one
instant, and a change moves from the one to the other in one transaction: it is never missed nor counted twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, QuerySet
from django.db.models.expressions import RawSQL

from accounts.models import User


class FollowerCounts(NamedTuple):
    follower_count: int
    following_count: int


# Raw: in the ORM these are two subqueries, each with a group of its own.
_PENDING_COUNTS_SQL = """(
    SELECT ARRAY[coalesce(sum(followers), 0), coalesce(sum(following), 0)]
    FROM accounts_countchange WHERE user_id = accounts_user.id
)"""
_PENDING_COUNTS_ATTRIBUTE = "pending_counts"


def with_pending_counts(users: QuerySet[User]) -> QuerySet[User]:
    """The same users, each with what `get_exact_counts` needs: a handful of rows of an index a user."""
    pending = RawSQL(_PENDING_COUNTS_SQL, (), output_field=ArrayField(BigIntegerField()))  # noqa: S611 - our own words
    return users.annotate(**{_PENDING_COUNTS_ATTRIBUTE: pending})


def get_exact_counts(user: User) -> FollowerCounts:
    """The exact counts of a user that was read through `with_pending_counts`; a query for any other.

    Should a count have drifted (`manage.py reconcile_counters` mends it), nobody is shown less than none.
    """
    pending: Any = getattr(user, _PENDING_COUNTS_ATTRIBUTE, None)
    if pending is None:
        return get_exact_counts(with_pending_counts(User.objects.all()).get(pk=user.pk))
    followers, following = pending
    return FollowerCounts(max(0, user.follower_count + followers), max(0, user.following_count + following))
