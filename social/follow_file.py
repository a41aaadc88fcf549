"""Reading a file of follow edges: `follower<TAB>followee` a line, plain or gzip, into lines for COPY.

Blank lines and lines that begin with `#` are skipped. A bad line never stops the reading: it is counted and
the first ones are kept with their number, so that one run tells an operator all that is wrong. What the
numbers mean (users, follows) is not known here.
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

MAX_REPORTED_BAD_LINES = 20  # bad lines remembered with their number
MAX_LINE_BYTES = 4096  # bytes of a line; what is longer is no edge, and must not fill the memory
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class UnreadableFile(Exception):
    """Why the file cannot be read at all; str() is the one line that an operator reads."""


@dataclass(slots=True)
class FollowFile:
    """A file and, while and after `chunks()` runs, what was found in it."""

    path: Path
    delimiter: str = "\t"
    lines: int = 0
    edges: int = 0  # good ones, duplicates included
    self_follows: int = 0
    bad: int = 0
    first_bad: list[tuple[int, str]] = field(default_factory=list)  # line number, problem

    def chunks(self, size: int = 5_000) -> Iterator[tuple[int, bytes]]:
        """(lines read, `follower<TAB>followee` lines in COPY's text format), `size` lines at a time.

        Raises UnusableFile when there is nothing to read.
        """
        with _open_plain_or_gzip(self.path) as file:
            rows: list[bytes] = []
            reported = 0
            for line in self._lines(file):
                edge = self._edge(line)
                if edge is not None:
                    rows.append(edge)
                if self.lines - reported >= size:
                    yield self.lines - reported, b"".join(rows)
                    rows, reported = [], self.lines
            if self.lines > reported:
                yield self.lines - reported, b"".join(rows)
        if not self.lines:
            raise UnreadableFile(f"{self.path} is empty")

    def _lines(self, file: IO[bytes]) -> Iterator[bytes]:
        """Lines with their number in `self.lines`; a damaged gzip counts as one bad line at its break."""
        try:
            while line := file.readline(MAX_LINE_BYTES):
                self.lines += 1
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                        pass
                    if not line.startswith(b"#"):
                        self._report(f"longer than {MAX_LINE_BYTES:,} bytes")
                    continue
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.lines += 1
            self._report(f"the gzip data end or break here ({error})")
        except OSError as error:
            raise UnreadableFile(f"cannot read {self.path}: {error.strerror or error}") from None

    def _edge(self, line: bytes) -> bytes | None:
        fields = line.split(self.delimiter.encode())
        if len(fields) == 2:
            one, other = fields[0].strip(), fields[1].strip()
            # bytes.isdigit is ASCII only; up to 18 digits always fit into 63 bits.
            if one.isdigit() and other.isdigit() and len(one) < 19 and len(other) < 19:
                return self._good(int(one), int(other))
        return self._unusual(line)

    def _good(self, follower: int, followee: int) -> bytes | None:
        if follower == followee:
            self.self_follows += 1
            return None
        self.edges += 1
        return b"%d\t%d\n" % (follower, followee)

    def _unusual(self, line: bytes) -> bytes | None:
        """All that the fast path does not take: comments, byte order marks, very large numbers, bad lines."""
        if self.lines == 1 and line.startswith(_BOM):
            return self._edge(line.removeprefix(_BOM))
        if not line.strip() or line.startswith(b"#"):
            return None
        try:
            fields = [part.strip() for part in line.decode().rstrip("\r\n").split(self.delimiter)]
        except UnicodeDecodeError:
            return self._report("is not UTF-8")
        if len(fields) != 2:
            return self._report(f"is not two numbers separated by {self.delimiter!r}: {_abbreviate(line.decode())}")
        for raw in fields:
            if problem := _describe_problem(raw):
                return self._report(problem)
        return self._good(int(fields[0]), int(fields[1]))

    def _report(self, problem: str) -> bytes | None:
        self.bad += 1
        if len(self.first_bad) < MAX_REPORTED_BAD_LINES:
            self.first_bad.append((self.lines, problem))
        return None


def _describe_problem(raw: str) -> str | None:
    digits = raw.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return f"{_abbreviate(raw)} is not a whole number"
    if raw != digits:
        return f"{_abbreviate(raw)} is negative"
    # The length first: Python refuses to read thousands of digits as a number.
    if len(digits) > 19 or int(digits) > MAX_ID:
        return f"{_abbreviate(raw)} is too big (the largest is {MAX_ID})"
    return None


def _abbreviate(raw: str) -> str:
    raw = raw.strip()
    return repr(raw if len(raw) <= 40 else raw[:40] + "…")


@contextmanager
def _open_plain_or_gzip(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where its content (not its name) says gzip."""
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
