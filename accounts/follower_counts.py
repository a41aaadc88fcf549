"""Exact follower and following counts without contention on the user's row.

If a follow updated the followed user's row, all new followers of that user would wait for its lock. Instead it appends
a `CountChange`. A count is the value in the row plus the changes that are not added to it yet. One statement reads
both, so they are consistent. One transaction adds a change to the row and deletes it, so no change is lost or counted
twice.
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


# Raw SQL: the ORM would need two subqueries, each with its own GROUP BY.
_PENDING_COUNTS_SQL = """(
    SELECT ARRAY[coalesce(sum(followers), 0), coalesce(sum(following), 0)]
    FROM accounts_countchange WHERE user_id = accounts_user.id
)"""
_PENDING_COUNTS_ATTRIBUTE = "pending_counts"


def with_pending_counts(users: QuerySet[User]) -> QuerySet[User]:
    """Annotate users with what `get_exact_counts` needs. Reads a few index rows per user."""
    pending = RawSQL(_PENDING_COUNTS_SQL, (), output_field=ArrayField(BigIntegerField()))  # noqa: S611 (constant)
    return users.annotate(**{_PENDING_COUNTS_ATTRIBUTE: pending})


def get_exact_counts(user: User) -> FollowerCounts:
    """Return the exact counts of a user. Runs a query unless the user was read through `with_pending_counts`.

    A count that has drifted below zero is returned as 0; `manage.py reconcile_counters` repairs it.
    """
    pending: Any = getattr(user, _PENDING_COUNTS_ATTRIBUTE, None)
    if pending is None:
        return get_exact_counts(with_pending_counts(User.objects.all()).get(pk=user.pk))
    followers, following = pending
    return FollowerCounts(max(0, user.follower_count + followers), max(0, user.following_count + following))
