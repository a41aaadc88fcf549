"""Recount followers and put every author on its side of the celebrity line."""

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
        "Recounts followers from the follows, then moves authors between push and pull. No post is missing or "
        "doubled in any feed meanwhile. Pins hold. Interrupted moves are finished by the next run, or by beat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--threshold",
            type=whole_number(1),
            metavar="N",
            help="followers of a celebrity (default: CELEBRITY_THRESHOLD, which also holds from the next follow on)",
        )

    def handle(self, *, threshold: int | None, **options: Any) -> str:
        threshold = threshold or settings.CELEBRITY_THRESHOLD
        self.stdout.write(
            f"Recounting followers and moving authors; the threshold is {threshold:,}"
            + (". Changing nothing." if self.dry_run else ".")
        )
        wrong = self._recount()
        up, down = (
            celebrity_policy.authors_to_promote(threshold).count(),
            celebrity_policy.authors_to_demote(threshold).count(),
        )
        if self.dry_run:
            return (
                f"Dry run: {wrong:,} counts are wrong; by the counts as they are {up:,} would be promoted and "
                f"{down:,} demoted; nothing was changed."
            )
        with self.progress("authors moved", up + down) as progress:
            moved = self._move(threshold, progress)
        done = f"Corrected {wrong:,} counts; promoted {moved.promoted:,} and demoted {moved.demoted:,} authors."
        if (
            left := celebrity_policy.authors_to_promote(threshold).count()
            + celebrity_policy.authors_to_demote(threshold).count()
        ):
            raise CommandError(f"{left:,} authors are on the wrong side once more: run it again. {done}")
        return done

    def _recount(self) -> int:
        with self.progress("accounts recounted", User.objects.count()) as progress:
            return repair_follow_counts(
                dry_run=self.dry_run, batch_size=self.batch_size(USER_BATCH_SIZE), progress=progress.add
            )

    def _move(self, threshold: int, progress: Progress) -> celebrity_transitions.ReclassifyResult:
        try:
            return celebrity_transitions.reclassify(
                threshold,
                progress=progress.add,
                batch_size=self.batch_size(celebrity_transitions.TRANSITION_BATCH_SIZE),
            )
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer ({error}); nothing is lost, run it again once it does") from None
