"""Pages of ids by keyset: the ids past the last one of the previous page. No OFFSET, no COUNT."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.db.models import QuerySet

from instafeed.core.db.replicas import session


def fetch_ids(
    rows: QuerySet[Any],
    column: str,
    after: int | None,
    limit: int,
    *,
    descending: bool = True,
    reading_after: Callable[[int], AbstractContextManager[None]] = lambda after: session.use_primary(),
) -> tuple[list[int], bool]:
    """Return the next `limit` values of an integer `column` past `after`, in order, and whether the list ends there.

    The first page (`after` is None) may come from a replica. The previous page may have come from a server that was
    ahead of that replica, which would leave a gap: later pages are read inside `reading_after(after)`, by default from
    the primary. An index on `column`, after the columns that `rows` filters by, should serve the query.
    """
    ordered = rows.order_by(f"-{column}" if descending else column).values_list(column, flat=True)
    if after is None:
        ids = list(ordered[:limit])
    else:
        with reading_after(after):
            ids = list(ordered.filter(**{f"{column}__{'lt' if descending else 'gt'}": after})[:limit])
    return ids, len(ids) < limit
