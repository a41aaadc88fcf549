"""Which picture shows a user. Media belong to an app above this one, which registers how a picture is copied."""

from __future__ import annotations

from collections.abc import Callable

from instafeed.away import PartAway

# Owner and media id -> the path of a public copy in the default storage, None unless the picture is the owner's and
# ready.
Copy = Callable[[int, int], str | None]
# Inside the transaction that makes use of a copy: whether it is there to stay. One that is never kept goes by itself.
Keep = Callable[[str], bool]
# Has a copy deleted that is used no more.
Drop = Callable[[str], None]
_registered: list[tuple[Copy, Keep, Drop]] = []


class UnknownPicture(LookupError):
    """A media id that is unknown, somebody else's, or not ready."""


class PicturesAway(PartAway):
    """Pictures cannot be copied at the moment."""


def register(copy: Copy, keep: Keep, drop: Drop) -> None:
    """Called once, by the app that keeps media."""
    _registered[:] = [(copy, keep, drop)]


def path_of(owner_id: int, media_id: int | None) -> str:
    """The path of a copy of the owner's picture, empty for None. Raises UnknownPicture, PicturesAway."""
    if media_id is None:
        return ""
    for copy, _, _ in _registered:
        if path := copy(owner_id, media_id):
            return path
    raise UnknownPicture


def keep(path: str) -> None:
    """The copy is used from the current transaction on; nothing for an empty path. Raises PicturesAway."""
    for _, keep_copy, _ in _registered:
        if path and not keep_copy(path):
            raise PicturesAway


def drop(path: str) -> None:
    """The file is used no more; nothing for an empty path."""
    for _, _, drop_copy in _registered:
        if path:
            drop_copy(path)
