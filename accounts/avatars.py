"""Which picture shows a user. Media belong to an app above this one, which registers what it does for avatars."""

from __future__ import annotations

from typing import Protocol


class AvatarStorage(Protocol):
    """Public copies of users' pictures in the default storage. One that is never kept goes by itself."""

    def copy_for(self, owner_id: int, media_id: int) -> str | None:
        """The path of a new copy; None unless the picture is the owner's and ready. Raises PartAway."""

    def keep(self, path: str) -> None:
        """Called inside the transaction that makes use of a copy. Raises PartAway if it is not there to stay."""

    def drop(self, path: str) -> None:
        """Has a copy deleted that is used no more."""


class PictureNotFound(LookupError):
    """A media id that is unknown, somebody else's, or not ready."""


_storage: AvatarStorage


def register_storage(pictures: AvatarStorage) -> None:
    """Called once, by the app that keeps media."""
    global _storage
    _storage = pictures


def create_copy(owner_id: int, media_id: int | None) -> str:
    """The path of a copy of the owner's picture, empty for None. Raises UnknownPicture, PartAway."""
    if media_id is None:
        return ""
    path = _storage.copy_for(owner_id, media_id)
    if path is None:
        raise PictureNotFound
    return path


def confirm(path: str) -> None:
    """The copy is used from the current transaction on; nothing for an empty path. Raises PartAway."""
    if path:
        _storage.keep(path)


def schedule_deletion(path: str) -> None:
    """The file is used no more; nothing for an empty path."""
    if path:
        _storage.drop(path)
