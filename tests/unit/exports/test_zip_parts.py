"""ZIP archives in parts, as Python's zipfile and other programs read them."""

from __future__ import annotations

import io
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from instafeed.exports.zip_parts import ZipPart, end_records

MOMENT = datetime(2026, 1, 31, 9, 30, 2, tzinfo=UTC)
GIB = 2**30


def write_part(offset: int, **contents: bytes) -> tuple[bytes, bytes, int]:
    """Return the bytes of a part at `offset`, its share of the directory and how many entries it has."""
    file = io.BytesIO()
    with ZipPart(file, offset) as part:
        for name, content in contents.items():
            with part.entry(name, MOMENT) as target:
                target.write(content)
        directory = part.close()
        return file.getvalue(), directory, part.entry_count


def archive(*parts: dict[str, bytes]) -> bytes:
    content, directory, count = b"", b"", 0
    for contents in parts:
        written, share, entries = write_part(len(content), **contents)
        content, directory, count = content + written, directory + share, count + entries
    return content + directory + end_records(count, len(directory), len(content))


def read(file: io.BytesIO | Path) -> dict[str, bytes]:
    with ZipFile(file) as found:
        assert found.testzip() is None
        return {name: found.read(name) for name in found.namelist()}


@pytest.mark.parametrize("parts", [[], [{}], [{"a": b"1"}, {}, {"b": b"22", "c": b""}], [{"a": b"x" * 100_000}]])
def test_parts_join_to_one_archive(parts: list[dict[str, bytes]]) -> None:
    wanted = {name: content for part in parts for name, content in part.items()}
    assert read(io.BytesIO(archive(*parts))) == wanted


def test_headers_have_sizes_so_that_streams_can_be_read() -> None:
    """Flag bit 3 would say that the size follows the content, which many programs refuse for stored entries."""
    with ZipFile(io.BytesIO(archive({"a": b"1"}, {"b": b"22"}))) as found:
        assert [info.flag_bits & 0x08 for info in found.infolist()] == [0, 0]
        assert [info.date_time for info in found.infolist()] == [(2026, 1, 31, 9, 30, 2)] * 2


def test_part_continues_a_file_with_other_content() -> None:
    """A slice begins with the bytes that the one before has left."""
    first, share, _ = write_part(0, a=b"one")
    file = io.BytesIO()
    file.write(first)
    with ZipPart(file, 0) as part:
        with part.entry("b", MOMENT, ZIP_DEFLATED) as target:
            target.write(b"two" * 1_000)
        directory = share + part.close()
    offset = file.tell()
    file.write(directory + end_records(2, len(directory), offset))
    assert read(file) == {"a": b"one", "b": b"two" * 1_000}


def test_abandoned_part_raises_its_own_error() -> None:
    with pytest.raises(KeyError), ZipPart(io.BytesIO(), 0) as part, part.entry("a", MOMENT):
        raise KeyError("of the caller")


def test_archive_beyond_4_gib(tmp_path: Path) -> None:
    """Offsets and the directory's place need ZIP64. The file is sparse."""
    first, share, _ = write_part(0, a=b"one")
    far, far_share, _ = write_part(5 * GIB, b=b"two")
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.write(first)
        file.seek(5 * GIB)
        file.write(far + share + far_share + end_records(2, len(share + far_share), 5 * GIB + len(far)))
    assert read(path) == {"a": b"one", "b": b"two"}


def test_more_entries_than_the_short_record_counts() -> None:
    contents = {f"{number}": b"" for number in range(40_000)}
    content = archive(contents, {f"x{name}": b"" for name in contents})
    with ZipFile(io.BytesIO(content)) as opened:
        assert len(opened.namelist()) == 80_000
    record = content[content.rindex(b"PK\x06\x06") :]  # which programs read that rely on the count
    assert int.from_bytes(record[24:32], "little") == int.from_bytes(record[32:40], "little") == 80_000


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs unzip")
def test_unzip_accepts_it(tmp_path: Path) -> None:
    path = tmp_path / "small.zip"
    path.write_bytes(archive({"a": b"1"}, {"b": b"22"}))
    result = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout
    assert "No errors detected" in result.stdout
