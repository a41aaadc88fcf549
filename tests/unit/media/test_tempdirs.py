"""Temporary directories: leftovers are deleted after an hour, and directories in use are kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from media import tempdirs


@pytest.fixture(autouse=True)
def root(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")


def test_only_old_leftovers_are_deleted() -> None:
    tempdirs.delete_leftovers()
    old, young = tempdirs.tempdirs_root() / "old", tempdirs.tempdirs_root() / "young"
    for path in (old, young):
        path.mkdir()
        (path / "original").write_bytes(b"with its GPS")
    file = tempdirs.tempdirs_root() / "upload"
    file.write_bytes(b"half")
    for path in (old, file):
        os.utime(path, (0, time.time() - tempdirs.LEFTOVER_TTL - 1))
    tempdirs.delete_leftovers()
    assert list(tempdirs.tempdirs_root().iterdir()) == [young]


def test_temporary_directory_is_private_and_removed() -> None:
    with tempdirs.temporary_directory() as directory:
        assert directory.stat().st_mode & 0o077 == 0
        assert tempdirs.tempdirs_root().stat().st_mode & 0o077 == 0
    assert not directory.exists()
