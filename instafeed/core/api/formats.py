"""Timestamps, ids and file URLs as responses show them."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.core.files.storage import default_storage


def rfc3339(moment: datetime) -> str:
    """Format a timestamp in UTC, as DRF does."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def optional_id(id_: int | None) -> str | None:
    """Format an id that may be absent."""
    return None if id_ is None else str(id_)


def file_url(path: str) -> str | None:
    """Return the URL of a file in the default storage; None for an empty path.

    PUBLIC_URL, if set, completes the URLs of a storage that knows only paths (the file system).
    """
    if not path:
        return None
    return absolute_url(default_storage.url(path))


def absolute_url(url: str) -> str:
    """Prefix a path with PUBLIC_URL. A URL that names a host stays as it is."""
    return f"{settings.PUBLIC_URL}{url}" if url.startswith("/") else url
