"""Recount followers, then promote and demote all authors by their counts and pins."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.models import User
from feeds import celebrity_policy, celebrity_transitions
from instafeed.core.management.base import OperatorCommand, Progress, whole_number
from social.services.follow_count_repair import USER_BATCH_SIZE, repair_follow_counts


class Command(OperatorCommand):
    help = (
        "Recounts followers from the follows, then moves authors between push and pull delivery. Feeds stay complete "
        "meanwhile. Pins hold. The next run, or beat, finishes interrupted transitions."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--threshold",
            type=whole_number(1),
            metavar="N",
            help="followers of a celebrity (default: CELEBRITY_THRESHOLD, which applies again at the next follow)",
        )

    def handle(self, *, threshold: int | None, **options: Any) -> str:
        threshold = threshold or settings.CELEBRITY_THRESHOLD
        self.stdout.write(
            f"Recounting followers and moving authors; the threshold is {threshold:,}"
            + (". Changing nothing." if self.dry_run else ".")
        )
        wrong = self._recount()
        promotable, demotable = celebrity_policy.count_misplaced(threshold)
        if self.dry_run:
            return (
                f"Dry run: {wrong:,} counts are wrong; by the present counts, {promotable:,} authors would be promoted "
                f"and {demotable:,} demoted; nothing was changed."
            )
        with self.progress("authors moved", promotable + demotable) as progress:
            result = self._reclassify(threshold, progress)
        summary = f"Corrected {wrong:,} counts; promoted {result.promoted:,} and demoted {result.demoted:,} authors."
        if remaining := sum(celebrity_policy.count_misplaced(threshold)):
            raise CommandError(f"{remaining:,} authors crossed the threshold meanwhile: run it again. {summary}")
        return summary

    def _recount(self) -> int:
        with self.progress("accounts recounted", User.objects.count()) as progress:
            return repair_follow_counts(
                dry_run=self.dry_run, batch_size=self.batch_size(USER_BATCH_SIZE), progress=progress.add
            )

    def _reclassify(self, threshold: int, progress: Progress) -> celebrity_transitions.ReclassifyResult:
        batch_size = self.batch_size(celebrity_transitions.TRANSITION_BATCH_SIZE)
        try:
            return celebrity_transitions.reclassify(threshold, progress=progress.add, batch_size=batch_size)
        except redis.RedisError as error:
            raise CommandError(
                f"Redis does not answer ({error}); nothing is lost, run it again when it is back"
            ) from None
