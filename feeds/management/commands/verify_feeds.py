"""Compare the feeds in Redis with the database."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from feeds import store, verification
from feeds.verification import Drift
from instafeed import keys
from instafeed.commands import OperatorCommand, whole_number


class Command(OperatorCommand):
    help = (
        "Compares every warm feed, celebrity list and the celebrity set in Redis with the database. "
        "Drift is reported; --repair drops what is wrong, and the next read rebuilds it. "
        "Ends with status 1 if any drift is left."
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

    def handle(self, *, sample: int | None, repair: bool, **options: Any) -> str:
        feeds = _chosen(verification.warm_ids(keys.FEED_PREFIX), sample)
        authors = _chosen(verification.warm_ids(keys.AUTHOR_PREFIX), None)
        self.stdout.write(f"Checking {len(feeds):,} warm feeds and {len(authors):,} authors' lists.")
        drifts = [drift for drift in [verification.check_celebrities()] if drift]
        drifts += self._check("feeds", feeds, verification.check_feed)
        drifts += self._check("authors' lists", authors, verification.check_author)
        for drift in drifts:
            self.stdout.write(f"{drift.key}: {drift.problem}")
        checked = f"{len(feeds):,} feeds and {len(authors):,} authors' lists checked"
        if not drifts:
            return f"Clean: {checked}."
        if not repair or self.dry_run:
            raise CommandError(f"{len(drifts):,} wrong; {checked}. --repair drops what is wrong.")
        for drift in drifts:
            store.drop(drift.drop)
        return f"Mended {len(drifts):,}; {checked}."

    def _check(self, what: str, user_ids: list[int], check: Callable[[int], Drift | None]) -> Iterable[Drift]:
        found = []
        with self.progress(what, len(user_ids)) as progress:
            for user_id in user_ids:
                if drift := check(user_id):
                    found.append(drift)
                progress.add()
        return found


def _chosen(user_ids: Iterable[int], sample: int | None) -> list[int]:
    known = sorted(set(user_ids))
    return known if sample is None or sample >= len(known) else sorted(random.sample(known, sample))
