"""A place for files that are being worked on, in which whoever is killed leaves something behind, but not for long."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

LEFTOVER_TTL = 3_600  # seconds without a change


def tempdirs_root() -> Path:
    """A directory of ours beside the files; made when it is needed. Raises OSError."""
    path = Path(settings.MEDIA_ROOT) / "tmp"  # nothing of the storage's layout, so never served
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory for the length of a `with` block. Raises OSError on entering."""
    with tempfile.TemporaryDirectory(dir=tempdirs_root()) as name:
        yield Path(name)


def delete_leftovers() -> None:
    """Delete what the dead left on this machine."""
    oldest = time.time() - LEFTOVER_TTL
    for path in tempdirs_root().iterdir():
        try:
            if path.stat().st_mtime > oldest:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            continue  # its owner lives
