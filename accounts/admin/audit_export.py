"""The audit log as a CSV file: UTF-8, a header, one entry a line, newest first.

A spreadsheet must not take a cell for a formula: a cell that begins like one gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet

from accounts.models import AuditEntry

MAX_EXPORTED_ENTRIES = 100_000
BATCH_SIZE = 1_000
# What spreadsheets take for the beginning of a formula, also in full width.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
HEADER = (
    *("time (UTC)", "id", "action", "actor id", "actor", "target type", "target id", "affected user id"),
    *("policy", "reason", "before", "after"),
)


def stream_csv(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield the file in pieces of `BATCH_SIZE` entries, read from the primary without an open transaction.

    The last line says so if there are more than `MAX_EXPORTED_ENTRIES`.
    """
    writer = csv.writer(_Echo())
    yield writer.writerow(HEADER)
    rows = entries.using(DEFAULT_DB_ALIAS).order_by("-pk")
    batch: list[AuditEntry] = []
    for number in range(MAX_EXPORTED_ENTRIES // BATCH_SIZE):
        if number:
            rows = rows.filter(pk__lt=batch[-1].pk)
        batch = list(rows[:BATCH_SIZE])
        yield "".join(writer.writerow(map(neutralize, _cells(entry))) for entry in batch)
        if len(batch) < BATCH_SIZE:
            return
    if rows.filter(pk__lt=batch[-1].pk).exists():
        note = f"Older entries are missing: a file has at most {MAX_EXPORTED_ENTRIES:,}."
        yield writer.writerow([f"{note} Export them with “to” {batch[-1].created_at:%Y-%m-%d}."])


def neutralize(cell: str) -> str:
    """Return the cell so that a spreadsheet shows it as text."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def _cells(entry: AuditEntry) -> Sequence[str]:
    return (
        f"{entry.created_at:%Y-%m-%d %H:%M:%S}",
        str(entry.pk),
        entry.action,
        str(entry.actor_id),
        entry.actor_name,
        entry.target_type,
        str(entry.target_id),
        str(entry.user_id or ""),
        entry.policy_name,
        entry.reason,
        _to_json(entry.before),
        _to_json(entry.after),
    )


def _to_json(state: dict[str, Any]) -> str:
    return json.dumps(state, ensure_ascii=False) if state else ""


class _Echo:
    """A file whose `write` returns the text: so `writerow` does."""

    def write(self, text: str) -> str:
        return text
