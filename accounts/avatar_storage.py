"""Copies of media that serve as avatars.

Media belong to an app above this one, which registers an implementation of `AvatarStorage` at start-up.
"""

from __future__ import annotations

from typing import Protocol


class AvatarStorage(Protocol):
    """Public copies of users' pictures in the default storage. Unconfirmed copies are deleted automatically."""

    def create_copy(self, owner_id: int, media_id: int) -> str | None:
        """Copy a picture and return the copy's path. Return None unless the picture is the owner's and ready.

        Raises DependencyUnavailable.
        """

    def confirm(self, path: str) -> None:
        """Keep a copy, in the transaction that starts to use it. Raises DependencyUnavailable if the copy is gone."""

    def schedule_deletion(self, path: str) -> None:
        """Delete a copy that is no longer used, in the background."""


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


def confirm(path: str) -> None:
    """Keep the copy from the current transaction on. Does nothing for an empty path. Raises DependencyUnavailable."""
    if path:
        _storage.confirm(path)


def schedule_deletion(path: str) -> None:
    """Delete the copy in the background. Does nothing for an empty path."""
    if path:
        _storage.schedule_deletion(path)
