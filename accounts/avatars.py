"""Which picture shows a user. Media belong to an app above this one, which registers how a picture is found."""

from __future__ import annotations

from collections.abc import Callable

# Owner and media id -> the picture's path in the default storage, None unless it is the owner's and usable.
Finder = Callable[[int, int], str | None]
_finders: list[Finder] = []


class UnknownPicture(LookupError):
    """A media id that is unknown, somebody else's, or not ready."""


def register(finder: Finder) -> None:
    """Called once, by the app that keeps media."""
    _finders[:] = [finder]


def path_of(owner_id: int, media_id: int | None) -> str:
    """The path of the owner's picture, empty for None. Raises UnknownPicture."""
    if media_id is None:
        return ""
    for find in _finders:
        if path := find(owner_id, media_id):
            return path
    raise UnknownPicture
