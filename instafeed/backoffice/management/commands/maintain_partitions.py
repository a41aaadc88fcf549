"""Add the next partitions and drop expired ones now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from instafeed.backoffice import partitioned_tables
from instafeed.core.db import partitions
from instafeed.core.management.base import OperatorCommand


class Command(OperatorCommand):
    help = (
        "Adds the partitions that are needed next and drops expired ones, as a task does every hour. Needed by hand "
        "only if the task could not do it: the command may take longer."
    )

    def handle(self, **options: Any) -> str:
        tables, now = partitioned_tables.list_tables(), timezone.now()
        changes = {table: partitions.describe_changes(table, now) for table in tables}
        count = sum(map(len, changes.values()))
        self.stdout.write(f"Maintaining the partitions of {len(tables)} tables: {count} changes.")
        for change in (change for table in tables for change in changes[table]):
            self.stdout.write(f"  {change}")
        if self.dry_run:
            return f"Dry run: would make {count} changes; nothing was changed."
        with self.progress("maintained", len(tables)) as progress:
            for table in tables:
                if not partitions.maintain(table, now):
                    raise CommandError(
                        f"could not lock {table.name} within {partitions.LOCK_TIMEOUT}, or another process maintains"
                        " it: run again"
                    )
                progress.add(1)
        return f"Made {count} changes."
