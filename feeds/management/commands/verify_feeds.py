"""Compare the feeds in Redis with the database."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from feeds import store, verification
from feeds.verification import Look
from instafeed import keys
from instafeed.commands import INTERRUPTED, OperatorCommand, Progress, whole_number

AT_ONCE = 100  # lists that share a second look


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
        feeds = _chosen(verification.warm_ids(keys.FEED_PREFIX), after, sample)
        authors = _chosen(verification.warm_ids(keys.AUTHOR_PREFIX), after)
        self.stdout.write(
            f"Checking {len(feeds):,} warm feeds and {len(authors):,} authors' lists"
            + ("; what is wrong is dropped." if self._mends else ", changing nothing.")
        )
        with self.progress("lists", len(feeds) + len(authors)) as progress:
            self._look([verification.check_celebrities], progress)
            self._walk(feeds, authors, after, progress)
        checked = f"{progress.done:,} lists checked"
        if not self._wrong:
            return f"Clean: {checked}."
        if not self._mends:
            raise CommandError(f"{self._wrong:,} wrong; {checked}. --repair drops what is wrong.")
        return f"Mended {self._wrong:,}; {checked}."

    def _walk(self, feeds: list[int], authors: list[int], last: int, progress: Progress) -> None:
        """User by user, so that one id says how far it came."""
        looks = [(user_id, partial(verification.check_feed, user_id)) for user_id in feeds]
        looks += [(user_id, partial(verification.check_author, user_id)) for user_id in authors]
        looks.sort(key=lambda look: look[0])
        step = self.step(AT_ONCE)
        try:
            for start in range(0, len(looks), step):
                page = looks[start : start + step]
                self._look([look for _, look in page], progress)
                progress.add(len(page))
                last = page[-1][0] - 1  # the next page may have the same user's other list
        except KeyboardInterrupt:
            found = f"{self._wrong:,} {'mended' if self._mends else 'wrong'} so far"
            raise CommandError(f"interrupted; {found}; go on with --after {last}", returncode=INTERRUPTED) from None

    def _look(self, looks: Sequence[Look], progress: Progress) -> None:
        for drift in verification.confirmed(looks):
            if self._mends:
                store.drop(drift.drop)
            self._wrong += 1
            progress.say(f"{drift.key}: {drift.problem}" + ("; dropped" if self._mends else ""))


def _chosen(user_ids: Iterable[int], after: int, sample: int | None = None) -> list[int]:
    known = sorted({user_id for user_id in user_ids if user_id > after})
    return known if sample is None or sample >= len(known) else sorted(random.sample(known, sample))
