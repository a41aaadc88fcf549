"""Advisory locks that allow one writer of notification entries at a time: consumer, erasure or cleanup.

With one writer, events are applied in the order of their ids, counts are read and written without row locks, and
writers cannot deadlock. Readers and `announce` never wait for these locks, which end with the transaction.

PostgreSQL grants the writer lock in the order of requests, so a task that takes it slice by slice lets waiting tasks
run in between. That holds for tasks that wait, so the consumer waits too. A second lock, tried first, makes
additional consumers return at once instead.
"""

from __future__ import annotations

from instafeed.core.db.advisory_locks import Lock, acquire, acquire_if_free

_WRITER = Lock("notifications:writer")


def lock_consumer_and_writer() -> bool:
    """Become the only consumer until the transaction ends, then wait for the writer lock.

    Return False, without waiting, if there is another consumer.
    """
    return acquire_if_free("notifications:consumer", _WRITER)


def lock_writer() -> None:
    """Wait for the writer lock. Holders keep it for one batch or slice, a fraction of a second."""
    acquire(_WRITER)
