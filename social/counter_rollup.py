"""Add pending count changes to `follower_count` and `following_count` of the users' rows.

Follows only append count changes (`social.services.count_changes`), so that followers of a celebrity do not wait for
one row. A task rolls the changes up every five seconds and sends `audience_changed` for users whose follower count
changed. Readers see the sum of the row and its pending changes (`accounts.follower_counts`), so only the celebrity
threshold notices the delay.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from accounts.models import CountChange, User
from social.models import Follow
from social.signals import audience_changed

USER_BATCH_SIZE = 2_000  # users updated in one transaction

# Raw: one statement deletes the changes and sums them up, so that each is taken once.
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


def roll_up() -> int:
    """Add all pending changes to the users' rows. Return the number of rows written.

    Never waits for a lock and may run concurrently: a user whose row is locked is left for the next run.
    """
    total = 0
    while written := _roll_up_batch():
        total += written
    return total


def _roll_up_batch() -> int:
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        # Lock the rows first, so that concurrent runs skip each other's users and no change is taken twice.
        pending = CountChange.objects.values("user_id").distinct()[:USER_BATCH_SIZE]
        rows = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=pending).order_by("pk")
        user_ids = list(rows.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))
        if not user_ids:
            return 0
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(_TAKE_CHANGES, [user_ids])
            changes = cursor.fetchall()  # empty if another run has just taken them
            if changes:
                cursor.execute(_ADD_TO_USERS, [list(column) for column in zip(*changes, strict=True)])
        if author_ids := [user_id for user_id, followers, _ in changes if followers]:
            audience_changed.send(sender=Follow, author_ids=author_ids)
    return len(changes)
