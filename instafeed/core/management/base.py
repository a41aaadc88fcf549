"""What the operator's management commands share: a dry run, a pace, progress, and a clean end.

A command subclasses `OperatorCommand` and implements `handle(**options) -> str`: it says first what it will do
(`self.stdout.write`), works inside `self.progress(...)`, returns its summary line, and raises CommandError
with one line if anything is left wrong. Work that can be resumed is the command's own business; what is
here only makes sure that Ctrl-C ends with one line and status 130 instead of a traceback, that a mistaken argument is
one line as well, and that a pipe gets each line when it is written.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from tqdm import tqdm

PROGRESS_INTERVAL = 3.0  # seconds between two plain progress lines
INTERRUPTED_STATUS = 130  # what a shell reports for a program ended by Ctrl-C
USAGE_ERROR_STATUS = 2  # the status of mistaken arguments, as argparse has it


class OperatorCommand(BaseCommand):
    """Gives `self.dry_run`, `self.rate` (items per second or None) and `self.progress()`."""

    requires_migrations_checks = True

    dry_run = False
    rate: int | None = None
    verbosity = 1

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")
        parser.add_argument(
            "--rate", type=whole_number(1), metavar="N", help="do at most N items a second (default: no limit)"
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.called_from_command_line = False  # then it raises CommandError; argparse would print the usage as well
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # a pipe would get its lines by the kilobyte, much later
        try:
            super().run_from_argv(argv)
        except CommandError as error:  # of the parser: all others end in there, but for --traceback
            if "--traceback" in argv:
                raise
            self.stderr.write(f"{argv[1]}: {error}")
            sys.exit(USAGE_ERROR_STATUS)

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.dry_run, self.rate = bool(options.get("dry_run")), options.get("rate")
        self.verbosity = options.get("verbosity", 1)
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            raise CommandError("interrupted; run again to resume", returncode=INTERRUPTED_STATUS) from None

    def check_migrations(self) -> None:
        """Refuse to work on tables that are not there, or not yet as the models say."""
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            raise CommandError(f"the database lacks {len(missing)} migrations: `manage.py migrate` first")

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Progress]:
        """Progress of one phase; `add(n)` after every piece of work shows it and keeps to `--rate`."""
        on_terminal = self.stdout.isatty() and sys.stderr.isatty()
        progress = Progress(
            what,
            total,
            self.rate,
            self.stdout.write if self.verbosity else _discard,
            on_terminal and self.verbosity > 0,
        )
        try:
            yield progress
        finally:
            progress.close()

    def step(self, size: int) -> int:
        """How many items to take at once: `size`, or a second's worth where `--rate` allows fewer."""
        return min(size, self.rate) if self.rate else size


class Progress:
    """Counts what is done: a bar on a terminal, elsewhere a line every few seconds and one at the end."""

    def __init__(
        self, what: str, total: int | None, rate: int | None, write: Callable[[str], None], on_terminal: bool
    ) -> None:
        self.what, self.total, self.done = what, total, 0
        self._write, self._rate = write, rate
        self._started = self._shown = self._free_at = time.monotonic()
        self._bar = _progress_bar(what, total) if on_terminal else None

    def add(self, count: int = 1) -> None:
        """`count` more items are done; sleeps as long as `--rate` demands."""
        self.done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(count)
        elif now - self._shown >= PROGRESS_INTERVAL:
            self._shown = now
            self._write(f"{self.what}: {self._count()}, {self.done / (now - self._started):,.0f}/s")
        if self._rate:
            # Time that was lost is not made up for: a stall must not be followed by a burst.
            self._free_at = max(self._free_at, now) + count / self._rate
            time.sleep(max(0.0, self._free_at - time.monotonic()))

    def say(self, line: str) -> None:
        """A line of its own, above the bar if there is one."""
        if self._bar is not None:
            self._bar.clear()
        self._write(line)
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.leave = self.done > 0  # no bar stays of what there was nothing of
            self._bar.close()
        elif self.done:
            self._write(f"{self.what}: {self._count()} in {time.monotonic() - self._started:.1f} s")

    def _count(self) -> str:
        return f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"


def _progress_bar(what: str, total: int | None) -> tqdm:
    """tqdm's, with whole numbers: it would write 3 of 40 as 3.00/40.0."""
    counted = "{n:,}" if total is None else "{percentage:3.0f}%|{bar}| {n:,} of {total:,}"
    left = "" if total is None else "<{remaining}"
    shape = f"{{desc}}: {counted} [{{elapsed}}{left}, {{rate_noinv_fmt}}]"
    return tqdm(total=total, desc=what, unit="", unit_scale=True, bar_format=shape, file=sys.stderr)


def whole_number(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    """An argparse type: a whole number within bounds, else one line that says what was expected."""

    def parse(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{raw!r} is not a whole number from {minimum:,} to {maximum:,}")
        return value

    return parse


def _discard(_: str) -> None:
    pass
