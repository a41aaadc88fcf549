"""Detection of static files that must be collected again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from instafeed.devstack import static_files


@pytest.fixture
def source(tmp_path: Path, settings: Any) -> Path:
    """The only static file."""
    file = tmp_path / "source" / "admin.css"
    file.parent.mkdir()
    file.write_text("a {}")
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [str(file.parent)]
    return file


@pytest.fixture
def directory(tmp_path: Path, source: Path) -> Path:
    directory = tmp_path / "static"
    directory.mkdir()
    assert not static_files.are_collected(directory)
    static_files.mark_collected(directory)
    assert static_files.are_collected(directory)
    return directory


def test_changed_file_is_detected(directory: Path, source: Path) -> None:
    before = source.stat()
    source.write_text("b {}")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert not static_files.are_collected(directory)


def test_new_file_is_detected(directory: Path, source: Path) -> None:
    source.with_name("new.css").touch()
    assert not static_files.are_collected(directory)


def test_deleted_directory_is_detected(directory: Path) -> None:
    shutil.rmtree(directory)
    assert not static_files.are_collected(directory)
