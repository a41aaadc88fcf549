"""Delete many rows in batches, so that no transaction and no lock lasts long."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet


def delete_batch(rows: QuerySet[Any], size: int) -> bool:
    """Delete the first `size` rows. Return True when none is left.

    The conditions of `rows` are checked again while deleting: a row may have changed since it was found.
    """
    batch = list(rows.values_list("pk", flat=True)[:size])
    rows.order_by().filter(pk__in=batch).delete()
    return len(batch) < size


def delete_all_in_batches(rows: QuerySet[Any], size: int) -> None:
    """Delete all rows, `size` at a time."""
    while not delete_batch(rows, size):
        pass
