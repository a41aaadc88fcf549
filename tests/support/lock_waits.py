"""Wait in tests until other connections wait for locks, or forbid a call to wait for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

# Not pg_stat_activity, which a transaction reads once. A backend that waits for a row holds a lock on its table, which
# names the database; other test processes have their own databases on the same server.
_COUNT_WAITERS = """
SELECT count(DISTINCT waiting.pid) FROM pg_locks AS waiting
WHERE NOT waiting.granted AND EXISTS (
    SELECT FROM pg_locks AS own JOIN pg_database ON pg_database.oid = own.database
    WHERE own.pid = waiting.pid AND pg_database.datname = current_database()
)
"""


def count_lock_waiters() -> int:
    """Return how many connections to the test's database wait for a lock: of a row, a table or an advisory one."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_WAITERS)
        row: tuple[int] = cursor.fetchone()
        return row[0]


def call_without_lock_waits(call: Callable[..., Any], *arguments: object) -> Any:
    """Return `call(*arguments)`, in a transaction. Raises OperationalError if it waits for a lock for 10 s."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
        return call(*arguments)
