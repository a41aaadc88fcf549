"""The plans of statements: their nodes, and which tables the statements of a block read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


def plan_nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all nodes of a plan, as in the JSON of EXPLAIN, from the top down."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from plan_nodes(child)


@dataclass
class ReadTables:
    """`planned`: all tables in the plans, without those that the planner has pruned. `read`: those that were read."""

    planned: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)

    def add(self, plan: dict[str, Any]) -> None:
        for node in plan_nodes(plan):
            if "Relation Name" in node and node["Node Type"] != "ModifyTable":
                self.planned.add(node["Relation Name"])
                if node.get("Actual Loops"):
                    self.read.add(node["Relation Name"])

    def partitions(self, table: str) -> set[str]:
        """Return the partitions of a table that were read."""
        return {name for name in self.read if name.startswith(f"{table}_")}

    def planned_partitions(self, table: str) -> set[str]:
        return {name for name in self.planned if name.startswith(f"{table}_")}


@contextmanager
def recorded_plans() -> Iterator[ReadTables]:
    """Explain each statement on the primary before it is executed. What the explained one changes is rolled back."""
    tables = ReadTables()

    def explain(execute: Any, sql: Any, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        if str(sql).lstrip().startswith(_EXPLAINED):
            database = context["connection"].connection
            database.execute("SAVEPOINT explained")
            rows = database.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters).fetchone()[0]
            database.execute("ROLLBACK TO SAVEPOINT explained")
            tables.add(rows[0]["Plan"])
        return execute(sql, parameters, many, context)

    with connections[DEFAULT_DB_ALIAS].execute_wrapper(explain):
        yield tables
