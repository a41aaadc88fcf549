"""The order in which writers of the social graph wait for each other.

0. the *graph*: shared by every relation write, exclusive for an import, which cannot lock millions of pairs;
1. the *pair*: an exclusive lock on two users, so that follow, accept, unfollow and block on the same two
   run one after the other, and what one reads under the lock stays true until it commits;
2. the *account*: shared by every relation write on that user, exclusive for whoever changes what follows
   mean there (public or private), so that nobody follows by a rule that has just ended;
3. the *recount*: exclusive for whoever corrects counts, so that nothing is corrected twice.

Everybody takes them in this order, and rows of `User` after them, so nobody waits in a circle. They are advisory
locks that end with the transaction: they cost no write, and readers never wait for them. A relation write locks no
row of `User` at all: a celebrity's is wanted by many.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connections, transaction

MAX_ATTEMPTS = 5
_GRAPH_KEY = "graph"
_COUNT_REPAIR_KEY = "recount"
_RETRYABLE_SQLSTATES = ("40P01", "40001")  # deadlock, serialization failure
P = ParamSpec("P")
T = TypeVar("T")


def with_pair_lock(write: Callable[[int, int], T]) -> Callable[[int, int], T]:
    """Run `write(actor_id, other_id)` as one transaction that holds the pair and shares both accounts."""

    @functools.wraps(write)
    def locked(actor_id: int, other_id: int) -> T:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            _lock_pair(actor_id, other_id)
            return write(actor_id, other_id)

    return retry_on_conflict(locked)


def retry_on_conflict(run: Callable[P, T]) -> Callable[P, T]:
    """Run a transaction again that met a writer which does not follow the order above.

    That is a deadlock with someone else's locks, a row inserted by an import, or a user erased at the same
    moment; the next attempt sees what they did. Inside an outer transaction, which is lost as a whole, the
    error is the caller's.
    """

    @functools.wraps(run)
    def attempt(*args: P.args, **kwargs: P.kwargs) -> T:
        for number in range(1, MAX_ATTEMPTS + 1):
            inside = connections[DEFAULT_DB_ALIAS].in_atomic_block
            try:
                return run(*args, **kwargs)
            except (OperationalError, IntegrityError) as error:
                if inside or number == MAX_ATTEMPTS or not _is_retryable(error):
                    raise
                time.sleep(random.uniform(0, 0.02 * number))
        raise AssertionError("unreachable")

    return attempt


def _is_retryable(error: Exception) -> bool:
    return isinstance(error, IntegrityError) or getattr(error.__cause__, "sqlstate", None) in _RETRYABLE_SQLSTATES


def lock_account(user_id: int) -> None:
    """Wait until no relation write on this user is under way, and keep others out until the commit.

    Must come before the transaction locks any row of `User`, see above.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0)),"
            " pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [_GRAPH_KEY, f"account:{user_id}"],
        )


def lock_graph() -> None:
    """Wait until no relation write at all is under way, and keep others out until the commit (imports)."""
    _lock(_GRAPH_KEY)


def lock_count_repair() -> None:
    """Wait until nobody else corrects counts, and keep others out until the commit."""
    _lock(_COUNT_REPAIR_KEY)


def _lock(name: str) -> None:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _lock_pair(one: int, other: int) -> None:
    low, high = sorted((one, other))
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        # One round trip; PostgreSQL evaluates a target list from left to right.
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0)),"
            " pg_advisory_xact_lock(hashtextextended(%s, 0)),"
            " pg_advisory_xact_lock_shared(hashtextextended(%s, 0)),"
            " pg_advisory_xact_lock_shared(hashtextextended(%s, 0))",
            [_GRAPH_KEY, f"pair:{low}:{high}", f"account:{low}", f"account:{high}"],
        )
