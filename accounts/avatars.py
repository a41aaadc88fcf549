"""Which picture shows a user. Media belong to an app above this one, which registers how a picture is copied."""

from __future__ import annotations

from collections.abc import Callable

# Owner and media id -> the path of a public copy in the default storage, None unless the picture is the owner's and
# ready.
Copy = Callable[[int, int], str | None]
# Has a copy deleted that is used no more.
Drop = Callable[[str], None]
_registered: list[tuple[Copy, Drop]] = []


class UnknownPicture(LookupError):
    """A media id that is unknown, somebody else's, or not ready."""


def register(copy: Copy, drop: Drop) -> None:
    """Called once, by the app that keeps media."""
    _registered[:] = [(copy, drop)]


def path_of(owner_id: int, media_id: int | None) -> str:
    """The path of a copy of the owner's picture, empty for None. Raises UnknownPicture."""
    if media_id is None:
        return ""
    for copy, _ in _registered:
        if path := copy(owner_id, media_id):
            return path
    raise UnknownPicture


def drop(path: str) -> None:
    """The file is used no more; nothing for an empty path."""
    for _, drop_copy in _registered:
        if path:
            drop_copy(path)
