"""Delete cache keys when the rows behind them change, even if a process dies in between.

A writer calls `invalidate(keys)` inside its transaction, so an outbox row commits together with the change. Right
after the commit the keys are deleted, then the row. If Redis is down, or the process dies between commit and
deletion, the row stays and the sweep does both two to three seconds later. Deleting a key twice is harmless.

A like is one statement and one commit; another of each for its row would double that. So it leaves the row to the
next like of the process. If none comes, the sweep deletes the keys again. That is cheap for a count and a viewer's
flags, while a home timeline would be rebuilt twice.

No row and no command has more than `MAX_KEYS` keys: Redis executes one command at a time, and one with millions of keys
would exceed its timeout again and again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import redis
from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.utils import timezone

from instafeed.core.cache import commands
from instafeed.core.cache.client import ServersFailed
from instafeed.core.cache.keys import LAST_SWEEP
from instafeed.core.models import Invalidation

logger = logging.getLogger(__name__)

MIN_SWEEP_AGE = timedelta(seconds=1)  # a younger row belongs to a commit whose own process is deleting the keys
SWEEP_BATCH_SIZE = 500  # rows
SWEEP_SECONDS = 1.0  # for batches after one with rows that stay
MAX_KEYS = 1_000  # of a row and of a command
MAX_FINISHED = 1_000  # rows that a process remembers; the sweep deletes the others

# Raw SQL: nearly every write runs the first two, and the ORM would compile them each time.
_INSERT_SQL = "INSERT INTO core_invalidation (keys, created_at) VALUES (%s, clock_timestamp()) RETURNING id"
_DELETE_SQL = "DELETE FROM core_invalidation WHERE id = ANY(%s)"
# For the statement of the next like; parameter: `finished`, ids. The sweep may hold rows while it waits for Redis.
DELETE_FINISHED_SQL = """
DELETE FROM core_invalidation WHERE id IN (
    SELECT id FROM core_invalidation WHERE id = ANY(%(finished)s::bigint[]) FOR UPDATE SKIP LOCKED
)
"""

_finished: deque[int] = deque(maxlen=MAX_FINISHED)  # ids of rows whose keys are deleted
_sweep_after = 0  # id of the row after which the next sweep begins, because those before it stayed


def invalidate(keys: Iterable[str]) -> None:
    """Delete the Redis keys `keys` once the current transaction commits.

    Raises TransactionManagementError outside a transaction.
    """
    wanted = sorted(set(keys))
    if not wanted:
        return
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("invalidate() must be called inside the change's transaction")
    rows: dict[int, list[str]] = {}
    # Ask the router as the ORM would: it notes that this request wrote.
    with connections[router.db_for_write(Invalidation)].cursor() as cursor:
        for chunk in _split(wanted):
            cursor.execute(_INSERT_SQL, [chunk])
            (row_id,) = cursor.fetchone()
            rows[row_id] = chunk
    transaction.on_commit(partial(_delete_keys_and_rows, rows), robust=True)


def delete_keys_on_commit(row_id: int, keys: Sequence[str]) -> None:
    """Delete the keys of an outbox row once the current transaction commits. DELETE_FINISHED_SQL deletes the row."""
    transaction.on_commit(partial(_delete_keys_and_remember, row_id, keys), robust=True)


def take_finished() -> list[int]:
    """Return the ids of rows to delete, for DELETE_FINISHED_SQL. A rollback leaves them to the sweep."""
    finished: list[int] = []
    with suppress(IndexError):  # other threads take some too
        while True:
            finished.append(_finished.popleft())
    return finished


def _delete_keys_and_rows(rows: Mapping[int, Sequence[str]]) -> None:
    if _delete_keys(rows):
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(_DELETE_SQL, [list(rows)])


def _delete_keys_and_remember(row_id: int, keys: Sequence[str]) -> None:
    if _delete_keys({row_id: keys}):
        _finished.append(row_id)


def _delete_keys(rows: Mapping[int, Sequence[str]]) -> bool:
    """Delete the keys. Return False if Redis fails, which leaves them to the sweep."""
    try:
        for keys in rows.values():  # one after the other: an account's invalidation may have thousands of rows
            commands.run_unguarded([("UNLINK", *keys)])
    except redis.RedisError as error:
        logger.warning("keys of invalidations %s are left to the sweep: %s", min(rows), error)
        return False
    return True


def sweep() -> int:
    """Delete the keys and rows that writers left behind; return the number of rows.

    Rows with a key that Redis does not delete stay, and delay no others: while a server of a cluster is down there may
    be any number of them. Raises redis.RedisError while Redis is down.
    """
    global _sweep_after
    count, ends = 0, time.monotonic() + SWEEP_SECONDS
    while True:
        rows, done = _sweep_batch(_sweep_after)
        count += len(done)
        _sweep_after = rows[-1] if len(rows) == SWEEP_BATCH_SIZE and len(done) < len(rows) else 0
        if not _sweep_after or time.monotonic() > ends:
            return count


def _sweep_batch(after: int) -> tuple[list[int], list[int]]:
    """Delete the keys of the first rows above the id `after`. Return the ids of these rows, and of those deleted."""
    with transaction.atomic():
        rows = list(
            Invalidation.objects.select_for_update(skip_locked=True)
            .filter(pk__gt=after, created_at__lt=timezone.now() - MIN_SWEEP_AGE)
            .order_by("pk")[:SWEEP_BATCH_SIZE]
        )
        failed = set[str]()
        for chunk in _split(sorted({key for row in rows for key in row.keys})):
            failed |= _unlink(chunk)
        done = [row.pk for row in rows if failed.isdisjoint(row.keys)]
        if done:
            Invalidation.objects.filter(pk__in=done).delete()
    return [row.pk for row in rows], done


def _unlink(keys: Sequence[str]) -> set[str]:
    """Delete keys. Return those that Redis does not delete, found by halving what fails.

    Raises redis.RedisError while Redis is down.
    """
    try:
        commands.run_unguarded([("UNLINK", *keys)])
    except ServersFailed as error:
        return set(error.keys)
    except redis.RedisError as error:
        commands.run_unguarded([("EXISTS", LAST_SWEEP)])  # raises if Redis is down
        if len(keys) == 1:
            logger.warning("Redis does not delete %s: %s", keys[0], error)
            return set(keys)
        half = len(keys) // 2
        return _unlink(keys[:half]) | _unlink(keys[half:])
    return set()


def _split(keys: list[str]) -> list[list[str]]:
    return [keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS)]
