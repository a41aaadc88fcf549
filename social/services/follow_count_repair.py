"""Recount followers and follows while the site is running, and correct wrong counts.

A follow commits together with its count change. So in every snapshot the follows differ from the counts, pending
changes included, by exactly the error that existed before, even under concurrent writes. The difference is read in
one statement and appended as one more count change. It stays right if it is rolled up later and in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import QuerySet

from accounts.models import CountChange, User
from social.counter_rollup import roll_up
from social.services.locks import lock_count_repair

USER_BATCH_SIZE = 500  # users compared in one statement

# What is missing in each user's counts of followers and of following.
COUNT_DIFFERENCES = """
SELECT person.id, follower.total - person.follower_count - pending.followers AS followers,
       following.total - person.following_count - pending.following AS following
FROM accounts_user person,
LATERAL (SELECT count(*) AS total FROM social_follow WHERE followee_id = person.id) AS follower,
LATERAL (SELECT count(*) AS total FROM social_follow WHERE follower_id = person.id) AS following,
LATERAL (
    SELECT coalesce(sum(followers), 0) AS followers, coalesce(sum(following), 0) AS following
    FROM accounts_countchange WHERE user_id = person.id
) AS pending
WHERE person.id = ANY(%s)
"""
_WRONG_COUNTS = f"""
SELECT id, followers, following FROM ({COUNT_DIFFERENCES}) AS difference WHERE followers <> 0 OR following <> 0
"""  # noqa: S608


def find_wrong_counts(user_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return what must be added to the (follower, following) counts, for the users whose counts are wrong."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_WRONG_COUNTS, [list(user_ids)])
        return {user_id: (followers, following) for user_id, followers, following in cursor.fetchall()}


def correct_counts(user_ids: Collection[int]) -> None:
    """Correct the counts of these users."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_count_repair()
        CountChange.objects.using(DEFAULT_DB_ALIAS).bulk_create(
            CountChange(user_id=user_id, followers=followers, following=following)
            for user_id, (followers, following) in find_wrong_counts(user_ids).items()
        )


def repair_follow_counts(
    *, dry_run: bool = False, batch_size: int = USER_BATCH_SIZE, progress: Callable[[int], None] = lambda _: None
) -> int:
    """Correct all wrong counts and roll them up. Return the number of users with wrong counts.

    With `dry_run`, only count them. `progress` is called with the number of users in each batch.
    """
    total = 0
    for user_ids in iterate_id_batches(User.objects.all(), batch_size):
        if wrong := find_wrong_counts(user_ids):
            total += len(wrong)
            if not dry_run:
                correct_counts(wrong)
        progress(len(user_ids))
    if not dry_run:
        roll_up()
    return total


def iterate_id_batches(rows: QuerySet[Any], size: int, *, after: int = 0) -> Iterator[list[int]]:
    """Yield the ids above `after` of all `rows` on the primary, ascending, `size` at a time."""
    ids = rows.using(DEFAULT_DB_ALIAS).order_by("pk").values_list("pk", flat=True)
    while batch := list(ids.filter(pk__gt=after)[:size]):
        yield batch
        after = batch[-1]
