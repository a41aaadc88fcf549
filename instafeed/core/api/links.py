"""URLs of stored files as clients get them."""

from __future__ import annotations

from django.conf import settings
from django.core.files.storage import default_storage


def file_url(path: str) -> str | None:
    """The URL of a file in the default storage; None for an empty path.

    A storage that knows only paths (the file system) is completed by PUBLIC_URL, if that is set.
    """
    if not path:
        return None
    return absolute_url(default_storage.url(path))


def absolute_url(url: str) -> str:
    """The same, as seen from outside; unchanged where it already names a host, or PUBLIC_URL is not set."""
    return f"{settings.PUBLIC_URL}{url}" if url.startswith("/") else url
