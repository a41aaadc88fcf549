"""A job's log: its last lines, with times, in one column."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone

MAX_LINES = 200
MAX_LINE_LENGTH = 300  # characters


def append(log: str, lines: Iterable[str]) -> str:
    """Return the log with these lines added, without its oldest lines if there are more than `MAX_LINES`."""
    now = f"{timezone.now():%Y-%m-%d %H:%M:%S}"
    # NUL cannot be stored, and a line break would begin a line without a time.
    added = [f"{now} {' '.join(line.replace(chr(0), '').split())[:MAX_LINE_LENGTH]}" for line in lines]
    return "\n".join([*log.splitlines(), *added][-MAX_LINES:])
