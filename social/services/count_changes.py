"""Record changes of follower and following counts without locking the users' rows.

A follow or unfollow appends a row; `social.counter_rollup` adds it to the users' rows some seconds later. Readers
see the sum of both (`accounts.follower_counts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Literal

from django.db import DEFAULT_DB_ALIAS

from accounts.models import CountChange

Edge = tuple[int, int]  # follower id, followee id
INSERT_BATCH_SIZE = 5_000


def record_count_changes(edges: Collection[Edge], step: Literal[1, -1]) -> None:
    """Record that the current transaction has inserted (`step` 1) or deleted (-1) the follows `edges`."""
    followers = Counter(followee for _, followee in edges)
    following = Counter(follower for follower, _ in edges)
    CountChange.objects.using(DEFAULT_DB_ALIAS).bulk_create(
        [
            CountChange(user_id=user_id, followers=step * followers[user_id], following=step * following[user_id])
            for user_id in followers.keys() | following.keys()
        ],
        batch_size=INSERT_BATCH_SIZE,
    )
