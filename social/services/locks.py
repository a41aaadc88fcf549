"""The order in which writers of the social graph take their locks.

1. *Graph*: shared by every relation write, exclusive for an import, which cannot lock millions of pairs.
2. *Pair*: exclusive for two users. Follow, accept, unfollow and block on the same two users run one after the other,
   and what one of them reads under the lock stays true until it commits.
3. *Account*: shared by every relation write on that user, exclusive for a change between public and private, so that
   a follow does not use a rule that has just ended.
4. *Following*: exclusive for a user's new follows and follow requests, so that they cannot exceed the limit together.
5. *Count repair*: exclusive for a repair of counts, so that no difference is corrected twice.

Every writer takes them in this order, and rows of `User` after them, so writers cannot deadlock. They are advisory
locks that end with the transaction: they cost no write, and readers never wait for them. A relation write locks no row
of `User`, because many followers would wait for a celebrity's row.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connections, transaction

from instafeed.core.db.advisory_locks import Lock, acquire

MAX_ATTEMPTS = 5
_GRAPH = "graph"
_RETRYABLE_SQLSTATES = ("40P01", "40001")  # deadlock, serialization failure
P = ParamSpec("P")
T = TypeVar("T")


def with_pair_lock(write: Callable[[int, int], T]) -> Callable[[int, int], T]:
    """Run `write(actor_id, other_id)` in a transaction that holds the pair's lock and shares both accounts' locks."""

    @functools.wraps(write)
    def locked(actor_id: int, other_id: int) -> T:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            _lock_pair(actor_id, other_id)
            return write(actor_id, other_id)

    return retry_on_conflict(locked)


def retry_on_conflict(run: Callable[P, T]) -> Callable[P, T]:
    """Retry a transaction that conflicts with a writer outside the lock order, up to MAX_ATTEMPTS times.

    Such conflicts are a deadlock with other locks, a row that an import inserted, and a user who was erased at the same
    moment; the next attempt sees the result. Inside an outer transaction, which is lost as a whole, the error is
    raised.
    """

    @functools.wraps(run)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> T:
        for number in range(1, MAX_ATTEMPTS + 1):
            is_nested = connections[DEFAULT_DB_ALIAS].in_atomic_block
            try:
                return run(*args, **kwargs)
            except (OperationalError, IntegrityError) as error:
                if is_nested or number == MAX_ATTEMPTS or not _is_retryable(error):
                    raise
                time.sleep(random.uniform(0, 0.02 * number))
        raise AssertionError("unreachable")

    return attempt


def _is_retryable(error: Exception) -> bool:
    return isinstance(error, IntegrityError) or getattr(error.__cause__, "sqlstate", None) in _RETRYABLE_SQLSTATES


def lock_account(user_id: int) -> None:
    """Wait for running relation writes on this user and keep others out until the commit.

    Must be called before the transaction locks any row of `User`.
    """
    acquire(Lock(_GRAPH, is_shared=True), Lock(f"account:{user_id}"))


def lock_following(follower_id: int) -> None:
    """Wait for other new follows and follow requests of this user and keep others out until the commit."""
    acquire(Lock(f"following:{follower_id}"))


def lock_graph() -> None:
    """Wait for all running relation writes and keep others out until the commit. For imports."""
    acquire(Lock(_GRAPH))


def lock_count_repair() -> None:
    """Wait for a running repair of counts and keep others out until the commit."""
    acquire(Lock("recount"))


def _lock_pair(one: int, other: int) -> None:
    low, high = sorted((one, other))
    acquire(
        Lock(_GRAPH, is_shared=True),
        Lock(f"pair:{low}:{high}"),
        Lock(f"account:{low}", is_shared=True),
        Lock(f"account:{high}", is_shared=True),
    )
