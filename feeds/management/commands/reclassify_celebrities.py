"""Recount followers and put every author on its side of the celebrity line."""

from __future__ import annotations

from typing import Any

import redis
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from feeds import celebrities, policy
from instafeed.commands import OperatorCommand, whole_number
from social.services.recount import recount_followers


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
        self.stdout.write(f"Recounting followers; the threshold is {threshold:,}.")
        if self.dry_run:
            wrong = recount_followers(dry_run=True)
            up, down = policy.to_promote(threshold).count(), policy.to_demote(threshold).count()
            return (
                f"Dry run: {wrong:,} counts are wrong; by the counts as they are {up:,} would be promoted and "
                f"{down:,} demoted; nothing was changed."
            )
        recounted = recount_followers()
        try:
            with self.progress("moved") as progress:
                moved = celebrities.reclassify(threshold, progress=progress.add)
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer ({error}); nothing is lost, run it again once it does") from None
        return f"Corrected {recounted:,} counts; promoted {moved.promoted:,} and demoted {moved.demoted:,} authors."
