"""Pages of ids by keyset: the ids past the last one of the previous page. No OFFSET, no COUNT."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import connections, router
from django.db.models import Model, QuerySet

from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID


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


@dataclass(frozen=True)
class BoundedScan:
    """A list of ids that are filtered in SQL, where one read examines at most `max_rows` rows.

    `rows` selects the rows by an index as `id` and other columns, past `%(after)s` and with other parameters, without
    ORDER BY and LIMIT. `joins` filters them: JOIN and WHERE clauses that refer to them as `row`. Raw SQL, because the
    ORM cannot filter behind a LIMIT. The inner query is in the order of the index, so the outer one stops as soon as it
    has enough rows.
    """

    model: type[Model]
    rows: str
    joins: str
    descending: bool = True
    max_rows: int = 1_000

    def fetch(
        self,
        parameters: dict[str, Any],
        after: int | None,
        limit: int,
        reading_after: Callable[[int], AbstractContextManager[None]] = lambda after: session.use_primary(),
    ) -> tuple[list[int], bool, int | None]:
        """Return up to `limit` ids past `after`, whether the list ends there, and the last id examined.

        The last one is None if `limit` was reached. For `reading_after` see `fetch_ids`.
        """
        start = MAX_ID if self.descending else 0
        reading = nullcontext() if after is None else reading_after(after)
        parameters = parameters | {
            "limit": limit,
            "max_rows": self.max_rows,
            "after": start if after is None else after,
        }
        direction = "DESC" if self.descending else "ASC"
        rows = f"{self.rows} ORDER BY id {direction} LIMIT %(max_rows)s"
        with reading, connections[router.db_for_read(self.model)].cursor() as cursor:
            cursor.execute(self._shown(f"({rows})", direction), parameters)
            ids = [id_ for (id_,) in cursor.fetchall()]
            if len(ids) == limit:
                return ids, False, None
            # All three from one snapshot: rows that are deleted meanwhile would move the end of the scan.
            last = "min" if self.descending else "max"
            shown = self._shown("scan", direction)
            cursor.execute(
                f"WITH scan AS MATERIALIZED ({rows}) SELECT {last}(id), count(*), ARRAY({shown}) FROM scan",  # noqa: S608
                parameters,
            )
            last_id, examined, ids = cursor.fetchone()
        return ids, examined < self.max_rows and len(ids) < limit, None if len(ids) == limit else last_id

    def _shown(self, rows: str, direction: str) -> str:
        # Constants of this module's callers.
        return f"SELECT row.id FROM {rows} AS row {self.joins} ORDER BY row.id {direction} LIMIT %(limit)s"  # noqa: S608
