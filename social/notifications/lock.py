"""One writer of entries at a time: drain, erasure and the sweep take turns.

So events are applied in the order of their ids, counts are read and written without row locks, and nobody
waits in a circle. Readers and `announce` never wait for it. It ends with the transaction.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

_NAME = "notifications"


def try_lock() -> bool:
    """Take the lock for the rest of the transaction; False while somebody else has it."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_NAME])
        return bool(cursor.fetchone()[0])


def lock() -> None:
    """Wait for it; whoever has it does so for a batch, a fraction of a second."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_NAME])
