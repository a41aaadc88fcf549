"""Swap of a ready picture's files: new files are written under a new key, then the row is switched to them.

The new files are registered as pending (`file_deletion.register_pending_files`) before the first one is written, so a
worker that dies in between leaves no unknown files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from accounts.models import User
from media import file_deletion, variants
from media.models import FileDeletion, Media
from media.signals import media_changed


@transaction.atomic
def swap_files(
    media: Media,
    target: Media,
    pending: FileDeletion,
    *,
    is_wanted: Callable[[Media, User], bool] = lambda media, owner: True,
    **fields: Any,
) -> None:
    """Give the row of `media` the key and place of `target` and the values of `fields`; delete its old files.

    `pending`: the registration of the files of `target`. Instead, the new files are deleted and the row is left as it
    is if the picture was moved or deleted in the meantime, if the new files have expired, or if `is_wanted` returns
    False for the locked row and its owner.
    """
    owner = User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    current = Media.objects.select_for_update(no_key=True).filter(pk=media.pk, key=media.key).first()
    confirmed = file_deletion.confirm_files(pending)
    if not (confirmed and owner and current and is_wanted(current, owner)):
        file_deletion.schedule_deletion(variants.possible_paths(target))
        return
    Media.objects.filter(pk=media.pk).update(key=target.key, is_public=target.is_public, **fields)
    file_deletion.schedule_deletion(
        variants.possible_paths(media),
        public_key=media.key if media.is_public else "",
        is_urgent=media.is_public and (current.is_withheld or owner.suspended_at is not None),
    )
    media_changed.send(Media, media_ids=[media.pk])
