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


class Counts(NamedTuple):
    follower_count: int
    following_count: int


# Raw: in the ORM these are two subqueries, each with a group of its own.
_PENDING = """(
    SELECT ARRAY[coalesce(sum(followers), 0), coalesce(sum(following), 0)]
    FROM accounts_countchange WHERE user_id = accounts_user.id
)"""
_FIELD = "pending_counts"


def counted(users: QuerySet[User]) -> QuerySet[User]:
    """The same users, each with what `counts_of` needs: a handful of rows of an index a user."""
    pending = RawSQL(_PENDING, (), output_field=ArrayField(BigIntegerField()))  # noqa: S611 - our own words
    return users.annotate(**{_FIELD: pending})


def counts_of(user: User) -> Counts:
    """The exact counts of a user that was read through `counted`; a query for any other.

    Should a count have drifted (`manage.py reconcile_counters` mends it), nobody is shown less than none.
    """
    pending: Any = getattr(user, _FIELD, None)
    if pending is None:
        return counts_of(counted(User.objects.all()).get(pk=user.pk))
    followers, following = pending
    return Counts(max(0, user.follower_count + followers), max(0, user.following_count + following))
