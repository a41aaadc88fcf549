"""ZIP archives that are written in parts, by several processes one after the other.

Python's `zipfile` writes each part: whole entries, at their place in the archive. It needs no other part, because only
the central directory, at the end of an archive, refers to all entries. Each part returns its share of the directory,
and the last one is followed by all shares and the end records.

Source: APPNOTE.TXT 6.3.10, PKWARE, sections 4.3.6 (overall format) and 4.3.14 to 4.3.16 (end records).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Self
from zipfile import ZIP_STORED, ZipFile, ZipInfo

_END = struct.Struct("<4s4H2LH")  # 4.3.16
_ZIP64_END = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_ZIP64_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_ZIP64_VERSION = 45
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF  # such a value says that the real one is in the ZIP64 record
_MODE = 0o100644 << 16  # a regular file that its owner may write


class _Window(io.RawIOBase):
    """A file as a part of a larger one: its first byte is byte `offset` of the archive."""

    def __init__(self, file: IO[bytes], offset: int) -> None:
        super().__init__()
        self._file, self._offset = file, offset

    def redirect(self, file: IO[bytes]) -> None:
        """Write what follows to the beginning of another file."""
        self._offset, self._file = self.tell(), file

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset + self._file.tell()

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET
        return self._offset + self._file.seek(position - self._offset)

    def write(self, data: object) -> int:
        return self._file.write(data)  # type: ignore[call-overload]


class ZipPart:
    """The next entries of an archive. They are written to `file` from its current position on.

    `offset`: the place of the file's first byte in the archive. `file` must be seekable, so that the header of an entry
    can contain its size, which programs need that read an archive from a stream.
    """

    def __init__(self, file: IO[bytes], offset: int) -> None:
        self._window = _Window(file, offset)
        self._zip = ZipFile(self._window, "w", ZIP_STORED)

    @property
    def entry_count(self) -> int:
        return len(self._zip.filelist)

    @contextmanager
    def entry(self, name: str, modified_at: datetime, compression: int = ZIP_STORED) -> Iterator[IO[bytes]]:
        """Provide a file for the content of a new entry."""
        info = ZipInfo(name, modified_at.timetuple()[:6])
        info.compress_type, info.external_attr = compression, _MODE
        with self._zip.open(info, "w") as file:
            yield file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip.fp is not None:  # an exception: what was written is given up
            self.close()

    def close(self) -> bytes:
        """End the part. Return its share of the central directory."""
        directory = io.BytesIO()
        self._window.redirect(directory)
        self._zip.close()
        written = directory.getvalue()
        size: int = _END.unpack(written[-_END.size :])[5]  # never 4 GiB
        return written[:size]


def end_records(entry_count: int, size: int, offset: int) -> bytes:
    """Return what follows a central directory of `size` bytes at `offset`."""
    short = _END.pack(
        b"PK\x05\x06", 0, 0, *2 * [min(entry_count, _MAX_16)], min(size, _MAX_32), min(offset, _MAX_32), 0
    )
    if entry_count < _MAX_16 and size < _MAX_32 and offset < _MAX_32:
        return short
    record = _ZIP64_END.pack(
        *(b"PK\x06\x06", _ZIP64_END.size - 12, _ZIP64_VERSION, _ZIP64_VERSION, 0, 0),
        *(entry_count, entry_count, size, offset),
    )
    return record + _ZIP64_LOCATOR.pack(b"PK\x06\x07", 0, offset + size, 1) + short
