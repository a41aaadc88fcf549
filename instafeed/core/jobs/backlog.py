"""How many leased jobs of each kind wait for a worker, and for how long: for metrics and the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from instafeed.core.db import timeout_connection
from instafeed.core.jobs.leased import UNFINISHED, LeasedJob

MAX_COUNTED_ROWS = 10_000  # bounds the cost of a scrape


@dataclass(frozen=True, slots=True)
class Backlog:
    due: int  # jobs that a worker could claim now, counted up to MAX_COUNTED_ROWS
    wait_seconds: float  # since when the first of them is due; 0 if none is


def measure_backlogs(query_row: Callable[[str], Sequence[Any]]) -> dict[str, Backlog]:
    """Return the backlog of each kind of job, in one query. `query_row` executes it and returns its row."""
    models = {str(model._meta.model_name): model for model in LeasedJob.__subclasses__()}
    values = query_row("SELECT " + ", ".join(map(_columns, models.values())))
    return {kind: Backlog(*values[2 * number : 2 * number + 2]) for number, kind in enumerate(models)}


def _columns(model: type[LeasedJob]) -> str:
    """Return the SQL of the two values of a backlog. Both read the index on `due_at` only."""
    # Names of tables and numbers only, so nothing can be injected.
    states = ", ".join(str(state.value) for state in UNFINISHED)
    due = f"FROM {model._meta.db_table} WHERE state IN ({states}) AND due_at <= statement_timestamp()"
    count = f"(SELECT count(*) FROM (SELECT {due} LIMIT {MAX_COUNTED_ROWS}) AS due)"  # noqa: S608
    wait = f"(SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8 {due})"  # noqa: S608
    return f"{count}, {wait}"


def backlog_gauges() -> dict[str, dict[str, float]]:
    """Return the values of the gauges by kind of job. Raises psycopg.Error if the primary does not answer."""
    backlogs = measure_backlogs(partial(timeout_connection.query_row, "default"))
    return {
        "instafeed_jobs_due": {kind: backlog.due for kind, backlog in backlogs.items()},
        "instafeed_job_wait_seconds": {kind: backlog.wait_seconds for kind, backlog in backlogs.items()},
    }
