"""Recount followers, follows, posts, likes and comments, and correct wrong counts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from instafeed.core.management.base import OperatorCommand
from posts.counter_repair import COUNTER_REPAIRS, CounterRepair, repair_counts
from social.counter_rollup import roll_up
from social.services.follow_count_repair import USER_BATCH_SIZE


class Command(OperatorCommand):
    help = (
        "Recount followers, follows, posts, likes and comments during live traffic, and correct wrong counts. Exits "
        "with status 1 if any count is still wrong, which includes all wrong counts found by --dry-run. If "
        "interrupted, the corrections made so far stay."
    )

    def handle(self, **options: Any) -> str:
        self.stdout.write("Comparing all counts with the rows" + (", without changes." if self.dry_run else "."))
        found = [self._reconcile(repair) for repair in COUNTER_REPAIRS]
        if not self.dry_run:
            roll_up()  # the beat task does this too; running it here updates the users' rows before the command ends
        summary = "; ".join(
            f"{repair.name}: {wrong:,} wrong" for repair, (wrong, _) in zip(COUNTER_REPAIRS, found, strict=True)
        )
        if left := sum(left for _, left in found):
            raise CommandError(f"{left:,} counts are still wrong ({summary})")
        return f"All counts are right ({summary})."

    def _reconcile(self, repair: CounterRepair) -> tuple[int, int]:
        """Return how many subjects had wrong counts, and how many still have."""
        found = left = 0
        with self.progress(repair.name, repair.model._default_manager.count()) as progress:
            for batch in repair_counts(repair, batch_size=self.batch_size(USER_BATCH_SIZE), dry_run=self.dry_run):
                found += batch.wrong
                left += batch.left
                progress.add(batch.checked)
        return found, left
