"""Run EXPLAIN (ANALYZE, BUFFERS) for every statement that Django sends, with its own values and at its own moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
# The lock of the explained statement would outlive it: no rollback releases a session's lock.
_NOT_EXPLAINED = "pg_advisory"
MAX_RUNS = 3  # of a statement in an activity, for jobs that repeat theirs


@dataclass(frozen=True)
class Plan:
    """How a statement was executed. `seq_scans`: tables read in the order of their pages, and how many of these."""

    activity: str
    sql: str  # with placeholders
    buffers: int  # pages of 8 kB, read or already in memory, each as often as it was visited
    milliseconds: float
    seq_scans: tuple[tuple[str, int], ...]

    @property
    def longest_seq_scan(self) -> int:
        """The most pages of one table that were read in their order."""
        return max((pages for _, pages in self.seq_scans), default=0)

    def describe(self) -> str:
        scans = "".join(f", scans {pages:,} pages of {table}" for table, pages in self.seq_scans if pages)
        return f"{self.activity}: {self.buffers:,} buffers, {self.milliseconds:.1f} ms{scans}: {self.sql[:300]}"


@dataclass
class PlanRecorder:
    """Explain the statements of one activity after the other. Of repeated statements it keeps the dearest plan."""

    activity: str = ""
    plans: dict[tuple[str, str], Plan] = field(default_factory=dict)  # by activity and statement
    _runs: dict[tuple[str, str], int] = field(default_factory=dict)

    @contextmanager
    def recording(self) -> Iterator[None]:
        with ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(self._execute))
            yield

    def _execute(self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        text = " ".join(str(sql).split())
        key = (self.activity, text)
        if self.activity and not many and text.startswith(_EXPLAINED) and _NOT_EXPLAINED not in text:
            self._runs[key] = self._runs.get(key, 0) + 1
            if self._runs[key] <= MAX_RUNS:
                plan = self._explain(context["connection"].connection, text, sql, params)
                self.plans[key] = max(plan, self.plans.get(key, plan), key=lambda each: each.buffers)
        return execute(sql, params, many, context)

    def _explain(self, connection: Any, text: str, sql: str, params: Any) -> Plan:
        with connection.transaction(force_rollback=True):
            cursor = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
            (explained,) = cursor.fetchone()[0]
        root = explained["Plan"]
        return Plan(
            self.activity,
            text,
            _buffers(root),
            explained["Execution Time"],
            tuple(_seq_scans(root)),
        )


def _buffers(node: dict[str, Any]) -> int:
    """Return the pages that a node and those below it visited."""
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


def _seq_scans(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"], _buffers(node)
    for child in node.get("Plans", ()):
        yield from _seq_scans(child)
