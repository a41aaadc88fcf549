"""Read a file of follows (`follower<TAB>followee` on each line, plain or gzip) and yield lines for COPY.

Blank lines and lines that begin with `#` are skipped. A bad line does not stop the reading: it is counted, and the
first ones are kept with their line numbers, so that one run shows an operator every kind of mistake. This module only
checks the syntax; `follow_import` turns the numbers into users and follows.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from instafeed.core.db.snowflake import MAX_ID

MAX_REPORTED_BAD_LINES = 20  # kept with their line number
MAX_LINE_BYTES = 4096  # a longer line is bad, and its rest is not kept in memory
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class UnreadableFile(Exception):
    """The file cannot be read at all. str() is a one-line message for the operator."""


@dataclass(slots=True)
class FollowFile:
    """A file and the statistics that `chunks()` collects while it runs."""

    path: Path
    delimiter: str = "\t"
    lines: int = 0
    edges: int = 0  # good lines, duplicates included
    self_follows: int = 0
    bad: int = 0
    first_bad: list[tuple[int, str]] = field(default_factory=list)  # line number, problem

    def chunks(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield (number of lines read, `follower<TAB>followee` lines in COPY's text format), `size` lines at a time.

        Raises UnreadableFile if the file cannot be read or is empty.
        """
        with _open_plain_or_gzip(self.path) as file:
            rows: list[bytes] = []
            reported = 0
            for line in self._read_lines(file):
                row = self._parse(line)
                if row is not None:
                    rows.append(row)
                if self.lines - reported >= size:
                    yield self.lines - reported, b"".join(rows)
                    rows, reported = [], self.lines
            if self.lines > reported:
                yield self.lines - reported, b"".join(rows)
        if not self.lines:
            raise UnreadableFile(f"{self.path} is empty")

    def _read_lines(self, file: IO[bytes]) -> Iterator[bytes]:
        """Yield lines and count them in `self.lines`. A damaged gzip counts as one bad line where it breaks."""
        try:
            while line := file.readline(MAX_LINE_BYTES):
                self.lines += 1
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                        pass
                    if not line.startswith(b"#"):
                        self._reject(f"longer than {MAX_LINE_BYTES:,} bytes")
                    continue
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.lines += 1
            self._reject(f"the gzip data is truncated or damaged here ({error})")
        except OSError as error:
            raise UnreadableFile(f"cannot read {self.path}: {error.strerror or error}") from None

    def _parse(self, line: bytes) -> bytes | None:
        """Return the line for COPY. None for a line that is skipped or bad."""
        fields = line.split(self.delimiter.encode())
        if len(fields) == 2:
            follower, followee = fields[0].strip(), fields[1].strip()
            # bytes.isdigit is ASCII only; up to 18 digits always fit into 63 bits.
            if follower.isdigit() and followee.isdigit() and len(follower) < 19 and len(followee) < 19:
                return self._accept(int(follower), int(followee))
        return self._parse_slowly(line)

    def _parse_slowly(self, line: bytes) -> bytes | None:
        """Parse what the fast path does not: comments, byte order marks, very large numbers and bad lines."""
        if self.lines == 1 and line.startswith(_BOM):
            return self._parse(line.removeprefix(_BOM))
        if not line.strip() or line.startswith(b"#"):
            return None
        try:
            follower, followee = _parse_pair(line, self.delimiter)
        except ValueError as error:
            self._reject(str(error))
            return None
        return self._accept(follower, followee)

    def _accept(self, follower: int, followee: int) -> bytes | None:
        if follower == followee:
            self.self_follows += 1
            return None
        self.edges += 1
        return b"%d\t%d\n" % (follower, followee)

    def _reject(self, problem: str) -> None:
        self.bad += 1
        if len(self.first_bad) < MAX_REPORTED_BAD_LINES:
            self.first_bad.append((self.lines, problem))


def _parse_pair(line: bytes, delimiter: str) -> tuple[int, int]:
    """Return (follower, followee). Raises ValueError that says what is wrong with the line."""
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    fields = text.split(delimiter)
    if len(fields) != 2:
        raise ValueError(f"is not two numbers separated by {delimiter!r}: {_abbreviate(text)}")
    return _parse_number(fields[0].strip()), _parse_number(fields[1].strip())


def _parse_number(raw: str) -> int:
    """Return the number. Raises ValueError that says why `raw` is not a valid one."""
    digits = raw.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{_abbreviate(raw)} is not a whole number")
    if raw != digits:
        raise ValueError(f"{_abbreviate(raw)} is negative")
    # Check the length first: Python refuses to parse numbers with thousands of digits.
    if len(digits) > 19 or int(digits) > MAX_ID:
        raise ValueError(f"{_abbreviate(raw)} is too big (the largest is {MAX_ID})")
    return int(digits)


def _abbreviate(raw: str) -> str:
    raw = raw.strip()
    return repr(raw if len(raw) <= 40 else raw[:40] + "…")


@contextmanager
def _open_plain_or_gzip(path: Path) -> Iterator[IO[bytes]]:
    """Open the file, and unpack it if its content (not its name) is gzip."""
    try:
        plain = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnreadableFile(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    with plain:
        if plain.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.open(plain) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield plain
