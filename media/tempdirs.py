"""Temporary directories and files beside the media files. Leftovers of killed processes are swept."""

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
    """Return the root directory of temporary files, created if necessary. Raises OSError."""
    path = Path(settings.MEDIA_ROOT) / "tmp"  # outside the storage's layout, so never served
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Provide a directory for the length of a `with` block. Raises OSError on entering."""
    with tempfile.TemporaryDirectory(dir=tempdirs_root()) as name:
        yield Path(name)


def delete_leftovers() -> None:
    """Delete what killed processes have left on this machine."""
    threshold = time.time() - LEFTOVER_TTL
    for path in tempdirs_root().iterdir():
        try:
            if path.stat().st_mtime > threshold:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            continue  # deleted by its owner in the meantime
