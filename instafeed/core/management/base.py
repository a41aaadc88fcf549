"""The base class of the operators' management commands: dry runs, rate limits, progress and clean exits.

A command subclasses `OperatorCommand` and implements `handle(**options) -> str`. It first prints what it will do
(`self.stdout.write("Rebuilding …")`), works inside `self.progress("a lower-case title")`, and returns its summary, a
sentence. The summary of a dry run begins with "Dry run: ". If a problem remains, it raises CommandError with one line.
For a wrong argument that
the parser does not find, such as an unknown name, it raises `usage_error`. Resuming is the command's own
responsibility. This class makes sure that Ctrl-C ends with one line and status 130
instead of a traceback, that a wrong argument gives one line too, and that a pipe receives each line as soon as it is
written.
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
INTERRUPTED_STATUS = 130  # the shell's status for a program that Ctrl-C ended
USAGE_ERROR_STATUS = 2  # as argparse


class OperatorCommand(BaseCommand):
    """Provides `self.dry_run`, `self.rate` (items per second or None), `self.batch_size()` and `self.progress()`."""

    requires_migrations_checks = True

    dry_run = False
    rate: int | None = None
    verbosity = 1

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="print what would be done and change nothing")
        parser.add_argument(
            "--rate", type=whole_number(1), metavar="N", help="do at most N items a second (default: no limit)"
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.called_from_command_line = False  # raise CommandError instead of printing the usage
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # otherwise a pipe gets its lines late, by the kilobyte
        try:
            super().run_from_argv(argv)
        except CommandError as error:  # from the parser; run_from_argv handles all others, except with --traceback
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
        """Raise CommandError if migrations are not applied."""
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            raise CommandError(f"{len(missing)} migrations are not applied: run `manage.py migrate` first")

    @contextmanager
    def progress(self, title: str, total: int | None = None) -> Iterator[Progress]:
        """Show the progress of one phase. Call `add(n)` after each batch: it prints, and waits to keep to `--rate`."""
        on_terminal = self.stdout.isatty() and sys.stderr.isatty()
        write: Callable[[str], None] = self.stdout.write if self.verbosity else lambda line: None
        progress = Progress(title, total, self.rate, write, on_terminal and self.verbosity > 0)
        try:
            yield progress
        finally:
            progress.close()

    def batch_size(self, maximum: int) -> int:
        """Return the number of items to process at once: `maximum`, or one second's worth if `--rate` allows fewer."""
        return min(maximum, self.rate) if self.rate else maximum


class Progress:
    """A progress bar on a terminal; elsewhere a line every few seconds and one at the end."""

    def __init__(
        self, title: str, total: int | None, rate: int | None, write: Callable[[str], None], on_terminal: bool
    ) -> None:
        self.title, self.total, self.done = title, total, 0
        self._write, self._rate = write, rate
        self._started = self._shown = self._free_at = time.monotonic()
        self._bar = _progress_bar(title, total) if on_terminal else None

    def add(self, count: int = 1) -> None:
        """Record `count` more items, then sleep as long as `--rate` requires."""
        self.done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(count)
        elif now - self._shown >= PROGRESS_INTERVAL:
            self._shown = now
            self._write(f"{self.title}: {self._count()}, {self.done / (now - self._started):,.0f}/s")
        if self._rate:
            # Lost time is not made up for: no burst follows a stall.
            self._free_at = max(self._free_at, now) + count / self._rate
            time.sleep(max(0.0, self._free_at - time.monotonic()))

    def print_line(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.clear()
        self._write(line)
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.leave = self.done > 0  # remove the bar of a phase without items
            self._bar.close()
        elif self.done:
            self._write(f"{self.title}: {self._count()} in {time.monotonic() - self._started:.1f} s")

    def _count(self) -> str:
        return f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"


def _progress_bar(title: str, total: int | None) -> tqdm:
    """Return a tqdm bar with whole numbers; its default format shows 3 of 40 as 3.00/40.0."""
    count = "{n:,}" if total is None else "{percentage:3.0f}%|{bar}| {n:,} of {total:,}"
    remaining = "" if total is None else "<{remaining}"
    bar_format = f"{{desc}}: {count} [{{elapsed}}{remaining}, {{rate_noinv_fmt}}]"
    return tqdm(total=total, desc=title, unit="", unit_scale=True, bar_format=bar_format, file=sys.stderr)


def usage_error(message: str) -> CommandError:
    """Return an error of a wrong argument. A command that raises it ends with the status of the parser's errors."""
    return CommandError(message, returncode=USAGE_ERROR_STATUS)


def whole_number(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    """Return an argparse type for a whole number within bounds. Its error is one line that gives the bounds."""

    def parse(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{raw!r} is not a whole number from {minimum:,} to {maximum:,}")
        return value

    return parse
