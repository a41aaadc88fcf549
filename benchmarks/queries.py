"""Explain every query of the hot endpoints, the admin and the background jobs on a site of a million users.

Reports the queries that visit many pages, or scan as many of one table in their order, and the indexes of large tables
that nothing used. A table is large from `LARGE_PAGES` pages on. An index that backs a constraint or a foreign key
counts as used: it has its use when rows are written or deleted.
"""

from __future__ import annotations

from django.db import connection, connections
from django.test import Client

from accounts.models import User
from benchmarks import bulk_rows
from benchmarks.activities import Cast
from benchmarks.admin import insert_samples, pages
from benchmarks.harness import Stack, load_average, log
from benchmarks.plans import Plan, PlanRecorder
from benchmarks.results import Result

USERS, QUICK_USERS = 1_000_000, 2_000
LARGE_PAGES = 1_000  # of 8 kB
MANY_BUFFERS = 500

_LARGE_TABLES_SQL = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relpages >= %s"
_INDEX_SCANS_SQL = "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes"
# Without those of unique and primary keys, and those that begin with the columns of a foreign key.
_REMOVABLE_INDEXES_SQL = """
SELECT table_.relname, class.relname, pg_relation_size(class.oid)
FROM pg_index AS index JOIN pg_class AS class ON class.oid = index.indexrelid
JOIN pg_class AS table_ ON table_.oid = index.indrelid
WHERE table_.relnamespace = 'public'::regnamespace AND table_.relkind = 'r' AND NOT index.indisunique
  AND NOT EXISTS (
      SELECT FROM pg_constraint AS key
      WHERE key.conrelid = index.indrelid AND key.contype = 'f' AND key.conkey[1] = index.indkey[0])
ORDER BY table_.relname, class.relname
"""


def run(stack: Stack, *, quick: bool) -> Result:
    bulk_rows.insert_rows(QUICK_USERS if quick else USERS, log)
    large = _large_tables()
    cast, recorder = Cast.choose(), PlanRecorder()
    with recorder.recording():
        for recorder.activity, act in cast.activities():
            log(recorder.activity)
            act()
        failures = [*cast.failures, *_open_admin_pages(recorder)]
    for failure in failures:
        log(f"unexpected answer: {failure}")
    return _result(list(recorder.plans.values()), large, failures)


def _large_tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_LARGE_TABLES_SQL, [LARGE_PAGES])
        return {name for (name,) in cursor.fetchall()}


def _open_admin_pages(recorder: PlanRecorder) -> list[str]:
    """Request every page of the admin. Return the unexpected answers."""
    recorder.activity = ""
    insert_samples(1_000)
    staff = User.objects.create_superuser("benchmark", "benchmark@example.org", "benchmark-secret")
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(staff)
    failures = []
    for name, url in list(pages(staff)):
        recorder.activity = f"admin: {name}"
        status = client.get(url).status_code
        if status != 200:
            failures.append(f"GET {url}: {status}")
    return failures


def _count_index_scans() -> dict[str, int]:
    """Return how often each index was used, on the primary and its replica."""
    scans: dict[str, int] = {}
    for each in connections.all():
        with each.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(_INDEX_SCANS_SQL)
            for name, count in cursor.fetchall():
                scans[name] = scans.get(name, 0) + count
    return scans


def _unused_indexes() -> list[tuple[str, str, int]]:
    """Return table, name and size in bytes of the indexes that nothing used and that no constraint needs."""
    scans = _count_index_scans()
    with connection.cursor() as cursor:
        cursor.execute(_REMOVABLE_INDEXES_SQL)
        return [row for row in cursor.fetchall() if not scans.get(row[1])]


def _result(plans: list[Plan], large: set[str], failures: list[str]) -> Result:
    scanning = [plan for plan in plans if plan.longest_seq_scan > MANY_BUFFERS]
    expensive = [plan for plan in plans if plan.buffers > MANY_BUFFERS]
    unused = _unused_indexes()
    for plan in sorted(expensive, key=lambda plan: -plan.buffers):
        log(plan.describe())
    for table, name, size in unused:
        log(f"unused: {name} of {table}, {size / 2**20:.1f} MB{'' if table in large else ', of a small table'}")
    return Result(
        "queries",
        {
            "queries": len(plans),
            "activities": len({plan.activity for plan in plans}),
            "most_buffers": max(plan.buffers for plan in plans),
            "many_buffers": len(expensive),
            "slowest_ms": max(plan.milliseconds for plan in plans),
            "unused_indexes_of_small_tables": sum(table not in large for table, _, _ in unused),
            "load_average": load_average(),
        },
        checks={
            "unexpected_answers": len(failures),
            "seq_scans": len(scanning),
            "unused_indexes": sum(table in large for table, _, _ in unused),
        },
    )
