"""The backlog of fan-outs as gauges, queried at each scrape of the metrics."""

from __future__ import annotations

from instafeed.core.db.timeout_connection import query_row
from instafeed.core.jobs.leased import JobState

MAX_COUNTED_ROWS = 10_000  # bounds the cost of a scrape

# Both counts use partial indexes. If more fan-outs are open than are counted, the age is that of the oldest among
# the most overdue.
_BACKLOG_SQL = f"""
SELECT (
    SELECT count(*) FROM (SELECT 1 FROM feeds_fanout WHERE state = {JobState.DEAD:d} LIMIT {MAX_COUNTED_ROWS}) AS dead
), count(*), extract(epoch FROM greatest(clock_timestamp() - min(created_at), interval '0'))::float8
FROM (
    SELECT created_at FROM feeds_fanout WHERE state IN ({JobState.PENDING:d}, {JobState.RUNNING:d})
    ORDER BY due_at LIMIT {MAX_COUNTED_ROWS}
) AS open
"""  # noqa: S608 (numbers)


def fan_out_gauges() -> dict[str, float]:
    """Return the gauges by metric name. Raises psycopg.Error if the primary does not answer."""
    dead, unfinished, oldest_seconds = query_row("default", _BACKLOG_SQL)
    return {
        "instafeed_fan_outs_dead": dead,
        "instafeed_fan_outs_open": unfinished,
        "instafeed_fan_out_oldest_seconds": oldest_seconds or 0.0,
    }
