"""Follower and following counts on their way into the users' rows.

Follows only append what they change (`social.services.count_changes`), so that nobody waits for the row of a much-followed
user. Here the changes are added to the rows, every second, and whoever listens is told whose audience has changed.
Readers see the sum of both (`accounts.follower_counts`), so how late this is shows nowhere but at the celebrity line.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from accounts.models import CountChange, User
from social.models import Follow
from social.signals import audience_changed

USER_BATCH_SIZE = 2_000  # users whose rows are written in one transaction


def roll_up() -> int:
    """Add what is pending to the users' rows; returns how many rows were written.

    Never waits and may run beside itself: users whose row is locked are left for the next time.
    """
    total = 0
    while written := _roll_up_batch():
        total += written
    return total


# Raw: one statement takes the changes and adds them up, so that each is taken once.
_TAKE_CHANGES = """
WITH taken AS (DELETE FROM accounts_countchange WHERE user_id = ANY(%s) RETURNING user_id, followers, following)
SELECT user_id, sum(followers), sum(following) FROM taken GROUP BY user_id
"""
_ADD_TO_USERS = """
UPDATE accounts_user SET follower_count = follower_count + change.followers,
                         following_count = following_count + change.following
FROM unnest(%s::bigint[], %s::int[], %s::int[]) AS change(user_id, followers, following)
WHERE accounts_user.id = change.user_id
"""


def _roll_up_batch() -> int:
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        # The rows first: of two who do this, nobody waits for the other, and no change is in two hands.
        pending = CountChange.objects.values("user_id").distinct()[:USER_BATCH_SIZE]
        rows = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=pending).order_by("pk")
        user_ids = list(rows.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))
        if not user_ids:
            return 0
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(_TAKE_CHANGES, [user_ids])
            changes = cursor.fetchall()  # none where somebody has just taken them
            if changes:
                cursor.execute(_ADD_TO_USERS, [list(column) for column in zip(*changes, strict=True)])
        if author_ids := [user_id for user_id, followers, _ in changes if followers]:
            audience_changed.send(sender=Follow, author_ids=author_ids)
    return len(changes)
