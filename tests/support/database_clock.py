"""Assert delays that are set by the database's clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now


@contextmanager
def assert_sets_ahead(rows: QuerySet[Any], column: str, delay: timedelta) -> Iterator[None]:
    """Assert that the block sets a column of the only row to `delay` from now, however long the block takes."""
    began = database_now()
    yield
    value = rows.values_list(column, flat=True).get()
    assert began + delay <= value <= database_now() + delay, value - began
