"""Delete cache keys when the rows behind them change, even if a process dies in between.

A writer calls `invalidate(keys)` inside its transaction, so an outbox row commits together with the change. Right
after the commit the keys are deleted, then the row. If Redis is down, or the process dies between commit and
deletion, the row stays and the sweep does both two to three seconds later. Deleting a key twice is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

import redis
from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.utils import timezone

from instafeed.core.cache.client import get_client
from instafeed.core.models import Invalidation

logger = logging.getLogger(__name__)

MIN_SWEEP_AGE = timedelta(seconds=1)  # a younger row belongs to a commit whose own process is deleting the keys
SWEEP_BATCH_SIZE = 500  # rows

# Raw SQL: nearly every write runs both statements, and the ORM would compile them each time.
_INSERT_SQL = "INSERT INTO core_invalidation (keys, created_at) VALUES (%s, clock_timestamp()) RETURNING id"
_DELETE_SQL = "DELETE FROM core_invalidation WHERE id = %s"


def invalidate(keys: Iterable[str]) -> None:
    """Delete the Redis keys `keys` once the current transaction commits.

    Raises TransactionManagementError outside a transaction.
    """
    wanted = sorted(set(keys))
    if not wanted:
        return
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("invalidate() must be called inside the change's transaction")
    # Ask the router as the ORM would: it notes that this request wrote.
    with connections[router.db_for_write(Invalidation)].cursor() as cursor:
        cursor.execute(_INSERT_SQL, [wanted])
        (row_id,) = cursor.fetchone()
    transaction.on_commit(partial(_delete_keys, row_id, wanted), robust=True)


def _delete_keys(row_id: int, keys: list[str]) -> None:
    """Delete the keys, then their outbox row. A Redis failure leaves both to the sweep."""
    try:
        get_client().unlink(*keys)
    except redis.RedisError as error:
        logger.warning("keys of invalidation %s are left to the sweep: %s", row_id, error)
        return
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_DELETE_SQL, [row_id])


def sweep() -> int:
    """Delete the keys and rows that writers left behind; return the number of rows.

    Raises redis.RedisError while Redis is down.
    """
    with transaction.atomic():
        rows = list(
            Invalidation.objects.select_for_update(skip_locked=True)
            .filter(created_at__lt=timezone.now() - MIN_SWEEP_AGE)
            .order_by("pk")[:SWEEP_BATCH_SIZE]
        )
        if rows:
            get_client().unlink(*{key for row in rows for key in row.keys})
            Invalidation.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)
