"""Follower and following counts from the truth, beside live traffic."""

from __future__ import annotations

from django.db import connection, transaction

from accounts.models import User

BATCH = 500  # users locked at once

_WRONG = """
SELECT u.id
FROM accounts_user u
LEFT JOIN (SELECT followee_id AS id, count(*) AS n FROM social_follow GROUP BY 1) AS followers USING (id)
LEFT JOIN (SELECT follower_id AS id, count(*) AS n FROM social_follow GROUP BY 1) AS following USING (id)
WHERE u.follower_count <> coalesce(followers.n, 0) OR u.following_count <> coalesce(following.n, 0)
ORDER BY u.id
"""
_CORRECT = """
UPDATE accounts_user u
SET follower_count = (SELECT count(*) FROM social_follow WHERE followee_id = u.id),
    following_count = (SELECT count(*) FROM social_follow WHERE follower_id = u.id)
WHERE u.id = ANY(%s)
"""


def recount_followers(*, dry_run: bool = False) -> int:
    """Correct what is wrong; returns how many users' counts were, or would be.

    The users are locked before their follows are counted: a follow that has counted itself is committed by
    then and seen, and one that has not yet will add itself afterwards.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WRONG)
        wrong = [row[0] for row in cursor.fetchall()]
    if dry_run:
        return len(wrong)
    for start in range(0, len(wrong), BATCH):
        batch = wrong[start : start + BATCH]
        with transaction.atomic(), connection.cursor() as cursor:
            list(User.objects.select_for_update(no_key=True).filter(pk__in=batch).order_by("pk").values_list("pk"))
            cursor.execute(_CORRECT, [batch])
    return len(wrong)
