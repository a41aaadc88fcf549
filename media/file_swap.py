"""New files for a ready picture, under a key of their own, and the row to name them in the old ones' place.

The new files are announced as leftovers (`file_deletion.register_pending_files`) before the first is written: whoever dies half way leaves
none that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from accounts.models import User
from media import file_deletion, variants
from media.models import FileDeletion, Media
from media.signals import media_changed


def _always(media: Media, owner: User) -> bool:
    return True


@transaction.atomic
def swap_files(
    media: Media,
    target: Media,
    announced: FileDeletion,
    *,
    wanted: Callable[[Media, User], bool] = _always,
    **columns: Any,
) -> None:
    """Have the picture's row take over the key and place of `target`, and `columns`; its old files go.

    Nothing changes, and the new files go, if the picture was moved or deleted meanwhile, if its row and owner, now
    locked, are no more `wanted`, or if all took so long that some of the new files are gone.
    """
    owner = User.objects.select_for_update(no_key=True).filter(pk=media.owner_id).first()
    here = Media.objects.select_for_update(no_key=True).filter(pk=media.pk, key=media.key).first()
    in_time = file_deletion.confirm_files(announced)
    if not (in_time and owner and here and wanted(here, owner)):
        file_deletion.schedule_deletion(variants.possible_paths(target))
        return
    Media.objects.filter(pk=media.pk).update(key=target.key, is_public=target.is_public, **columns)
    file_deletion.schedule_deletion(variants.possible_paths(media), public_key=media.key if media.is_public else "")
    media_changed.send(Media, media_ids=[media.pk])
