"""Compare the feeds in Redis with the database."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from feeds import consistency, timeline_store
from feeds.consistency import Check
from instafeed.core.cache import keys
from instafeed.core.management.base import INTERRUPTED_STATUS, OperatorCommand, Progress, whole_number

CHECK_BATCH_SIZE = 100  # lists that share a second look


class Command(OperatorCommand):
    help = (
        "Compares every warm feed, celebrity list and the celebrity set in Redis with the database. "
        "Drift is reported; --repair drops what is wrong, and the next read rebuilds it. "
        "Ends with status 1 if any drift is left. Walks along user ids; when interrupted it has mended what it came "
        "by and says where to go on with --after."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--sample",
            type=whole_number(1),
            metavar="N",
            help="check N warm feeds chosen at random (default: all)",
        )
        parser.add_argument("--repair", action="store_true", help="drop what is wrong")
        parser.add_argument("--after", type=whole_number(0), default=0, metavar="ID", help="begin above this user id")

    def handle(self, *, sample: int | None, repair: bool, after: int, **options: Any) -> str:
        self._mends = repair and not self.dry_run
        self._wrong = 0
        feeds = _select_user_ids(consistency.cached_user_ids(keys.HOME_TIMELINE_PREFIX), after, sample)
        authors = _select_user_ids(consistency.cached_user_ids(keys.AUTHOR_TIMELINE_PREFIX), after)
        self.stdout.write(
            f"Checking {len(feeds):,} warm feeds and {len(authors):,} authors' lists"
            + ("; what is wrong is dropped." if self._mends else ", changing nothing.")
        )
        with self.progress("lists", len(feeds) + len(authors)) as progress:
            self._look([consistency.check_celebrity_set], progress)
            self._walk(feeds, authors, after, progress)
        checked = f"{progress.done:,} lists checked"
        if not self._wrong:
            return f"Clean: {checked}."
        if not self._mends:
            raise CommandError(f"{self._wrong:,} wrong; {checked}. --repair drops what is wrong.")
        return f"Mended {self._wrong:,}; {checked}."

    def _walk(self, feeds: list[int], authors: list[int], last: int, progress: Progress) -> None:
        """User by user, so that one id says how far it came."""
        looks = [(user_id, partial(consistency.check_home_timeline, user_id)) for user_id in feeds]
        looks += [(user_id, partial(consistency.check_author_timeline, user_id)) for user_id in authors]
        looks.sort(key=lambda look: look[0])
        step = self.batch_size(CHECK_BATCH_SIZE)
        try:
            for start in range(0, len(looks), step):
                page = looks[start : start + step]
                self._look([look for _, look in page], progress)
                progress.add(len(page))
                last = page[-1][0] - 1  # the next page may have the same user's other list
        except KeyboardInterrupt:
            found = f"{self._wrong:,} {'mended' if self._mends else 'wrong'} so far"
            raise CommandError(
                f"interrupted; {found}; go on with --after {last}", returncode=INTERRUPTED_STATUS
            ) from None

    def _look(self, looks: Sequence[Check], progress: Progress) -> None:
        for drift in consistency.find_inconsistencies(looks):
            if self._mends:
                timeline_store.evict(drift.drop)
            self._wrong += 1
            progress.print_line(f"{drift.key}: {drift.problem}" + ("; dropped" if self._mends else ""))


def _select_user_ids(user_ids: Iterable[int], after: int, sample: int | None = None) -> list[int]:
    known = sorted({user_id for user_id in user_ids if user_id > after})
    return known if sample is None or sample >= len(known) else sorted(random.sample(known, sample))
