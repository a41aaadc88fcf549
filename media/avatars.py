"""Avatars: copies of pictures, independent of their originals.

An avatar is public, also while its owner's account is private. A suspension moves it to a private path, and the end of
the suspension moves it back (`media.relocation`). A moderator who withholds the picture removes the avatar, too. After
a moderator removed the avatar, its picture cannot become the avatar again.

Implements `accounts.avatar_storage.AvatarStorage`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts import services as accounts
from accounts.models import User
from instafeed.core.api.formats import file_url
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.exceptions import DependencyUnavailable
from media import file_deletion, storage, variants
from media.models import FileDeletion, Media, Status
from media.storage.paths import KEY

logger = logging.getLogger(__name__)

AVATAR_SIZE = "320"
PUBLIC_PREFIX = "avatars/"
_PUBLIC_PATH = re.compile(rf"avatars/({KEY})\.webp")
_REFUSED = Q(is_withheld=True) | Q(is_barred_as_avatar=True)
_PRIVATE_PATH = re.compile(rf"private/{KEY}/{AVATAR_SIZE}\.webp")


def create_copy(owner_id: int, media_id: int) -> str | None:
    """Copy a ready picture of the owner and return the copy's path, or None if there is no such picture.

    Raises DependencyUnavailable.
    """
    for _ in range(2):  # a second attempt, as the picture may just have been moved
        own = Media.objects.using("default").filter(pk=media_id, owner_id=owner_id).exclude(_REFUSED)
        media = own.filter(status=Status.READY).first()
        if media is None:
            return None
        path = _new_path(is_public=True)
        file_deletion.register_pending_files([path])
        try:
            storage.copy(f"{variants.directory_of(media)}/{media.variants[AVATAR_SIZE]['name']}", path)
        except storage.FileMissing:
            continue
        return path
    raise DependencyUnavailable("the picture is being moved")


def confirm(path: str, media_id: int) -> bool:
    """Keep a copy from the current transaction on. Return False if a moderator has refused its picture meanwhile.

    The owner's row is locked, as it is by the transaction that withholds. Raises DependencyUnavailable if the copy's
    deletion is already due.
    """
    if Media.objects.filter(_REFUSED, pk=media_id).exists():
        return False
    pending = FileDeletion.objects.filter(file_deletion.NEVER_CLAIMED, due_at__gt=Now(), paths=[path])
    if not pending.delete()[0]:
        raise DependencyUnavailable("the copy has expired")
    return True


def schedule_deletion(path: str, *, is_urgent: bool = False) -> None:
    """Delete an avatar's file in the background. Ignores paths that this module does not make."""
    public = _PUBLIC_PATH.fullmatch(path)
    if public or _PRIVATE_PATH.fullmatch(path):
        with transaction.atomic():
            file_deletion.schedule_deletion([path], public_key=public[1] if public else "", is_urgent=is_urgent)


def url(path: str) -> str | None:
    """Return an avatar's URL, signed while it is private. None if the storage cannot sign now."""
    if not _PRIVATE_PATH.fullmatch(path):
        return file_url(path)
    try:
        return storage.url(path)
    except storage.StorageError:
        return None


def remove_copies_of(media_ids: Collection[int], owner_id: int) -> None:
    """Remove the owner's avatar if it was copied from one of these pictures, which a moderator withholds."""
    if User.objects.filter(pk=owner_id, avatar_media__in=media_ids).exists():
        accounts.remove_avatar(owner_id, is_urgent=True)


def move_avatar(owner: User) -> str:
    """Move the avatar to where it belongs: to a private path while its owner is not active, else to a public one.

    Return the key of the public file that it left, if any. Raises StorageError, which leaves everything as it was.
    """
    path, is_public = owner.avatar_path, owner.is_active
    former = (_PRIVATE_PATH if is_public else _PUBLIC_PATH).fullmatch(path)
    if former is None:
        return ""
    target = _new_path(is_public=is_public)
    pending = file_deletion.register_pending_files([target])
    try:
        storage.copy(path, target)
    except storage.FileMissing:
        logger.warning("the avatar of user %s is missing", owner.pk)
        target = ""
    is_moved = _swap(owner, target, pending)
    return former[1] if is_moved and not is_public else ""


@transaction.atomic
def _swap(owner: User, target: str, pending: FileDeletion) -> bool:
    """Give the user the avatar at `target` and delete the former file, unless either changed since it was copied."""
    unchanged = User.objects.filter(pk=owner.pk, avatar_path=owner.avatar_path, is_active=owner.is_active)
    user = unchanged.select_for_update(no_key=True).first()
    confirmed = file_deletion.confirm_files(pending)
    if user is None or not confirmed:
        file_deletion.schedule_deletion([target])  # without a purge: its URL was never shown
        return False
    User.objects.filter(pk=user.pk).update(avatar_path=target)
    schedule_deletion(user.avatar_path, is_urgent=user.suspended_at is not None)
    invalidate([keys.user_summary(user.pk)])
    return True


def _new_path(*, is_public: bool) -> str:
    key = storage.new_key()
    return f"{PUBLIC_PREFIX}{key}.webp" if is_public else f"private/{key}/{AVATAR_SIZE}.webp"
