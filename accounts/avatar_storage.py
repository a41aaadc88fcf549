"""Copies of pictures that serve as avatars, and their URLs.

Media belong to an app above this one, which registers an implementation of `AvatarStorage` at start-up.
"""

from __future__ import annotations

from typing import Protocol

from instafeed.core.api.formats import file_url


class AvatarStorage(Protocol):
    """Copies of users' pictures in the default storage. Unconfirmed copies are deleted automatically.

    They are public, except while their owner is suspended.
    """

    def create_copy(self, owner_id: int, media_id: int) -> str | None:
        """Copy a picture and return the copy's path. Return None unless the picture is the owner's and ready.

        Raises DependencyUnavailable.
        """

    def confirm(self, path: str, media_id: int) -> bool:
        """Keep a copy, in the transaction that starts to use it. Return False if its picture was refused meanwhile.

        The owner's row is locked. Raises DependencyUnavailable if the copy is gone.
        """

    def schedule_deletion(self, path: str, *, is_urgent: bool = False) -> None:
        """Delete a copy that is no longer used, in the background. `is_urgent`: a moderator took it down."""

    def url(self, path: str) -> str | None:
        """Return a copy's URL, signed while it is private. None if it cannot be signed now."""


class PictureNotFound(LookupError):
    """The media id is unknown, belongs to another user, or is not ready."""


_storage: AvatarStorage


def register_storage(storage: AvatarStorage) -> None:
    """Set the storage of avatars. Called once, by the media app."""
    global _storage
    _storage = storage


def create_copy(owner_id: int, media_id: int | None) -> str:
    """Copy the owner's picture and return the path, or "" for None. Raises PictureNotFound, DependencyUnavailable."""
    if media_id is None:
        return ""
    path = _storage.create_copy(owner_id, media_id)
    if path is None:
        raise PictureNotFound
    return path


def confirm(path: str, media_id: int | None) -> None:
    """Keep the copy from the current transaction on, which has locked the owner's row. Does nothing for None.

    Raises PictureNotFound if a moderator has refused the picture in the meantime, DependencyUnavailable.
    """
    if media_id is not None and not _storage.confirm(path, media_id):
        raise PictureNotFound


def schedule_deletion(path: str, *, is_urgent: bool = False) -> None:
    """Delete the copy in the background. Does nothing for an empty path. `is_urgent`: a moderator took it down."""
    if path:
        _storage.schedule_deletion(path, is_urgent=is_urgent)


def staff_url(path: str) -> str | None:
    """Return the avatar's URL for staff and for the export, signed while it is private. None if there is none."""
    return _storage.url(path) if path else None


def public_url(path: str) -> str | None:
    """Return the avatar's permanent URL. None if there is none, or if it is not public (again) yet."""
    return None if path.startswith("private/") else file_url(path)
