"""What is left to deliver, for operators: asked at each scrape of the metrics, bounded in rows and in time."""

from __future__ import annotations

from feeds.models import State
from instafeed.core.db.replicas.timeout_connection import query_row

MAX_COUNTED_ROWS = 10_000  # rows: a count of more would cost more than it tells

# Both by partial indexes. With more open ones than are counted, the oldest of those that are due first.
_BACKLOG_SQL = f"""
SELECT (SELECT count(*) FROM (SELECT 1 FROM feeds_fanout WHERE state = {State.DEAD:d} LIMIT {MAX_COUNTED_ROWS}) AS dead),
       count(*), extract(epoch FROM greatest(clock_timestamp() - min(created_at), interval '0'))::float8
FROM (
    SELECT created_at FROM feeds_fanout WHERE state IN ({State.PENDING:d}, {State.RUNNING:d})
    ORDER BY due_at LIMIT {MAX_COUNTED_ROWS}
) AS open
"""  # noqa: S608 (numbers)


def fan_out_gauges() -> dict[str, float]:
    """Raises psycopg.Error when the primary does not answer."""
    dead, opened, oldest = query_row("default", _BACKLOG_SQL)
    return {
        "instafeed_fan_outs_dead": dead,
        "instafeed_fan_outs_open": opened,
        "instafeed_fan_out_oldest_seconds": oldest or 0.0,
    }
