"""Compare the timelines in Redis with the database."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from feeds import consistency
from feeds.consistency import Check
from instafeed.core.management.base import INTERRUPTED_STATUS, OperatorCommand, Progress, whole_number

CHECK_BATCH_SIZE = 100  # timelines that share the delay before the second check


class Command(OperatorCommand):
    help = (
        "Compares every warm feed, every author timeline and the celebrity set in Redis with the database. "
        "Reports inconsistencies; --repair deletes the wrong keys, and the next read rebuilds them. "
        "Exits with status 1 if an inconsistency remains. With a cold cache it says that nothing was checked. "
        "Works in the order of user ids; when interrupted, it says with which --after to go on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--sample",
            type=whole_number(1),
            metavar="N",
            help="check N warm feeds chosen at random (default: all)",
        )
        parser.add_argument("--repair", action="store_true", help="delete wrong keys")
        parser.add_argument("--after", type=whole_number(0), default=0, metavar="ID", help="begin above this user id")

    def handle(self, *, sample: int | None, repair: bool, after: int, **options: Any) -> str:
        self._repairs = repair and not self.dry_run
        self._found = 0
        viewer_ids = _select_user_ids(consistency.cached_user_ids("feed"), after, sample)
        author_ids = _select_user_ids(consistency.cached_user_ids("author"), after)
        self.stdout.write(
            f"Checking {len(viewer_ids):,} warm feeds and {len(author_ids):,} author timelines"
            + ("; deleting wrong keys." if self._repairs else ", changing nothing.")
        )
        with self.progress("timelines", len(viewer_ids) + len(author_ids)) as progress:
            self._run_checks([consistency.check_celebrity_set], progress)
            self._check_timelines(viewer_ids, author_ids, after, progress)
        if not progress.done and not self._found:
            return "Nothing was warm to check: Redis has no timeline of a user" + (f" above {after}." if after else ".")
        checked = f"{progress.done:,} timelines checked"
        if not self._found:
            return f"Clean: {checked}."
        if not self._repairs:
            raise CommandError(f"{self._found:,} wrong; {checked}. Run with --repair to delete the wrong keys.")
        return f"Repaired {self._found:,}; {checked}."

    def _check_timelines(self, viewer_ids: list[int], author_ids: list[int], last_id: int, progress: Progress) -> None:
        """Check both timelines of a user together, so that one id tells how far the command has come."""
        checks = [(user_id, partial(consistency.check_home_timeline, user_id)) for user_id in viewer_ids]
        checks += [(user_id, partial(consistency.check_author_timeline, user_id)) for user_id in author_ids]
        checks.sort(key=lambda item: item[0])
        step = self.batch_size(CHECK_BATCH_SIZE)
        try:
            for start in range(0, len(checks), step):
                batch = checks[start : start + step]
                self._run_checks([check for _, check in batch], progress)
                progress.add(len(batch))
                last_id = batch[-1][0] - 1  # the next batch may have the other timeline of the same user
        except KeyboardInterrupt:
            found = f"{self._found:,} {'repaired' if self._repairs else 'wrong'} so far"
            raise CommandError(
                f"interrupted; {found}; go on with --after {last_id}", returncode=INTERRUPTED_STATUS
            ) from None

    def _run_checks(self, checks: Sequence[Check], progress: Progress) -> None:
        for inconsistency in consistency.run_checks(checks, repair=self._repairs):
            self._found += 1
            progress.print_line(inconsistency.describe(repaired=self._repairs))


def _select_user_ids(user_ids: Iterable[int], after: int, sample: int | None = None) -> list[int]:
    known = sorted({user_id for user_id in user_ids if user_id > after})
    return known if sample is None or sample >= len(known) else sorted(random.sample(known, sample))
