"""One writer of entries at a time: drain, erasure and the sweep take turns.

So events are applied in the order of their ids, counts are read and written without row locks, and nobody
waits in a circle. Readers and `announce` never wait for it. All ends with the transaction.

PostgreSQL hands the lock over in the order in which it was asked for: who takes it slice by slice, without a
pause, has everybody else's turn in between. That holds only for those who wait, so the drain does as well; a lock
of its own, asked for first, sends other drainers home instead.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

_CONSUMER_KEY, _WRITER_KEY = "notifications:drain", "notifications"


def try_lock_consumer() -> bool:
    """Take the drainer's place for the rest of the transaction; False while somebody else has it. Before `lock_writer`."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_CONSUMER_KEY])
        return bool(cursor.fetchone()[0])


def lock_writer() -> None:
    """Wait for one's turn as the writer; whoever has it does so for a batch or a slice, a fraction of a second."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_WRITER_KEY])
