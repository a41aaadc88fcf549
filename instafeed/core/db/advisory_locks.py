"""Advisory locks of PostgreSQL by name. They cost no write, and no reader waits for them.

`acquire` and `try_acquire` hold the locks until the transaction ends; the session lock ends with its connection,
which must not lead through a transaction pooler (`direct_connection`).
A name is hashed to the lock's 64-bit number: two names with one number would only wait for each other needlessly.
"""

from __future__ import annotations

from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper

_NUMBER = "hashtextextended(%s, 0)"


class Lock(NamedTuple):
    name: str
    is_shared: bool = False  # with other shared holders; an exclusive one waits for all


def acquire(*locks: Lock) -> None:
    """Wait for locks in the order given, in one round trip."""
    # PostgreSQL evaluates a target list from left to right.
    calls = (f"pg_advisory_xact_lock{'_shared' if lock.is_shared else ''}({_NUMBER})" for lock in locks)
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(calls)}", [lock.name for lock in locks])


def try_acquire(name: str) -> bool:
    """Take an exclusive lock if it is free. Return whether it was."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        return _ask(cursor, "pg_try_advisory_xact_lock", name)


def acquire_if_free(name: str, other: Lock) -> bool:
    """Take an exclusive lock if it is free, and then wait for another one, in one round trip.

    Return whether it was free.
    """
    call = f"pg_advisory_xact_lock{'_shared' if other.is_shared else ''}({_NUMBER})"
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        # CASE, as PostgreSQL may evaluate the sides of AND in any order.
        cursor.execute(
            f"SELECT CASE WHEN pg_try_advisory_xact_lock({_NUMBER}) THEN {call} IS NOT NULL ELSE false END",
            [name, other.name],
        )
        return bool(cursor.fetchone()[0])


def try_acquire_session(cursor: CursorWrapper, name: str) -> bool:
    """Take an exclusive lock for the cursor's session if it is free. Return whether it was."""
    return _ask(cursor, "pg_try_advisory_lock", name)


def release_session(cursor: CursorWrapper, name: str) -> None:
    """Give a session's lock back."""
    _ask(cursor, "pg_advisory_unlock", name)


def _ask(cursor: CursorWrapper, function: str, name: str) -> bool:
    cursor.execute(f"SELECT {function}({_NUMBER})", [name])
    return bool(cursor.fetchone()[0])
