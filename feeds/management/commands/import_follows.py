"""Import follows from a file, with users, counts, caches and celebrity states, in one transaction."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from feeds import celebrity_transitions
from instafeed.core.management.base import OperatorCommand, usage_error
from social import follow_import
from social.follow_file import FollowFile, UnreadableFile


class Command(OperatorCommand):
    """Stage the file, then write everything in one transaction.

    An interrupted import leaves nothing behind; run it again. `--rate` limits the reading. While the transaction
    writes (about 10 s for 600,000 follows), reads and posts go on, and follows, unfollows and blocks wait.
    """

    help = (
        "Imports follows: lines `follower<TAB>followee` of whole numbers, plain or gzip; `#` begins a comment. "
        "The number 7 is the user u7, who is created (without a usable password) if missing. Known follows, "
        "duplicates, self-follows and blocked pairs are skipped; private accounts are followed directly. "
        "If any line is bad, nothing is written, unless --skip-bad is given."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--delimiter", type=_parse_delimiter, default="\t", help="between the two numbers (default: a tab)"
        )
        parser.add_argument("--skip-bad", action="store_true", help="import the good lines of a file with bad ones")

    def handle(self, *, file: Path, delimiter: str, skip_bad: bool, **options: Any) -> str:
        if not file.is_file():
            raise usage_error(f"cannot read {file}: not a file")
        edges = FollowFile(file, delimiter)
        self.stdout.write(f"Reading follows from {file}.")
        with transaction.atomic():
            plan = self._stage(edges)
            self._reject_bad_lines(edges, skip_bad)
            self.stdout.write(f"Found {_summary(edges, plan)}.")
            would = f"{plan.new_users:,} users and {plan.new_follows:,} follows"
            if self.dry_run:
                transaction.set_rollback(True)
                return f"Dry run: would create {would}; nothing was written."
            self.stdout.write(f"Creating {would} …")
            done = self._apply()
        follow_import.analyze()
        reclassified = self._reclassify()
        return (
            f"Imported {done.follows:,} follows and {done.users:,} users; counts changed for {done.recounted:,} users; "
            f"{reclassified.promoted:,} became celebrities, {reclassified.demoted:,} became ordinary."
        )

    def _stage(self, edges: FollowFile) -> follow_import.ImportPlan:
        with self.progress("lines read") as progress:

            def rows() -> Iterator[bytes]:
                for lines, chunk in edges.chunks(self.batch_size(5_000)):
                    yield chunk
                    progress.add(lines)

            try:
                return follow_import.stage(rows())
            except UnreadableFile as error:
                raise CommandError(str(error)) from None
            except follow_import.ReservedUsername as error:
                raise CommandError(f"{error}: nothing was written") from None

    def _apply(self) -> follow_import.ImportResult:
        try:
            return follow_import.apply()
        except follow_import.ReservedUsername as error:
            raise CommandError(f"{error}: nothing was written, run the import again") from None

    def _reject_bad_lines(self, edges: FollowFile, skip_bad: bool) -> None:
        for number, problem in edges.first_bad:
            self.stderr.write(f"line {number:,}: {problem}")
        if edges.bad > len(edges.first_bad):
            self.stderr.write(f"… and {edges.bad - len(edges.first_bad):,} more bad lines")
        if edges.bad and not skip_bad:
            raise CommandError(f"{edges.bad:,} bad lines; nothing was written (--skip-bad imports the others)")
        if not edges.edges and not edges.self_follows:
            raise CommandError(f"{edges.path} holds no follows")

    def _reclassify(self) -> celebrity_transitions.ReclassifyResult:
        try:
            with self.progress("authors moved") as progress:
                return celebrity_transitions.reclassify(progress=progress.add)
        except redis.RedisError as error:
            raise CommandError(
                f"the follows are imported, but Redis does not answer ({error}): "
                "run reclassify_celebrities once it does"
            ) from None


def _summary(edges: FollowFile, plan: follow_import.ImportPlan) -> str:
    return (
        f"{edges.edges + edges.self_follows:,} edges: {plan.new_follows:,} new, {plan.existing:,} known, "
        f"{edges.edges - plan.pairs:,} duplicates, {edges.self_follows:,} self-follows, {plan.blocked:,} blocked; "
        f"{edges.bad:,} bad lines skipped"
    )


def _parse_delimiter(raw: str) -> str:
    delimiter = raw.replace("\\t", "\t")
    if not delimiter or any(char.isdigit() or char in "-\r\n" for char in delimiter):
        raise argparse.ArgumentTypeError("must be some text without digits, signs and line ends")
    return delimiter
