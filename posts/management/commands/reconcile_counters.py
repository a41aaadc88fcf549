"""Make every count say what is there."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from instafeed.core.management.base import OperatorCommand
from posts.counter_repair import COUNTER_REPAIRS, CounterRepair
from social.counter_rollup import roll_up
from social.services.follow_count_repair import USER_BATCH_SIZE, iterate_id_batches


class Command(OperatorCommand):
    help = (
        "Recounts followers, follows, posts, likes and comments from what is there, beside live traffic, and corrects "
        "what is wrong. Ends with status 1 if anything is left wrong, as --dry-run leaves it. Interrupted, it has "
        "corrected what it came by."
    )

    def handle(self, **options: Any) -> str:
        self.stdout.write("Comparing all counts with what is there" + (", changing nothing." if self.dry_run else "."))
        found = [self._recount(kind) for kind in COUNTER_REPAIRS]
        if not self.dry_run:
            roll_up()  # beat does it, too; whoever reads the users' rows now finds them right
        summary = "; ".join(
            f"{kind.name}: {wrong:,} wrong" for kind, (wrong, _) in zip(COUNTER_REPAIRS, found, strict=True)
        )
        if left := sum(left for _, left in found):
            raise CommandError(f"{left:,} left wrong ({summary})")
        return f"All counts are right now ({summary})."

    def _recount(self, kind: CounterRepair) -> tuple[int, int]:
        """How many were wrong, and how many still are."""
        found = left = 0
        subjects = kind.subjects._default_manager.all()
        with self.progress(kind.name, subjects.count()) as progress:
            for ids in iterate_id_batches(subjects, self.step(USER_BATCH_SIZE)):
                wrong = kind.wrong(ids)
                found += len(wrong)
                if wrong and not self.dry_run:
                    kind.correct(wrong)
                    wrong = kind.wrong(wrong)
                left += len(wrong)
                progress.add(len(ids))
        return found, left
