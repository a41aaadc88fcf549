"""Detect whether the collected static files are up to date, as collecting them takes seconds of each start."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders

_FINGERPRINT_FILE = ".collected"  # in their directory, so that it is deleted with them


def are_collected(directory: Path) -> bool:
    try:
        return (directory / _FINGERPRINT_FILE).read_text() == _fingerprint()
    except OSError:
        return False


def mark_collected(directory: Path) -> None:
    (directory / _FINGERPRINT_FILE).write_text(_fingerprint())


def _fingerprint() -> str:
    """Hash the files' names, sizes and times, and the storage class that writes them."""
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = Path(storage.path(path)).stat()
            digest.update(f"\n{path} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
