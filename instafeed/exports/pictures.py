"""A user's picture files for an export: the original if it is kept, else the largest variant; and the avatar.

Files are moved and deleted while an export runs (`media.relocation`). A picture whose file is not found is read once
more from its row. If it is still not there, the export lists it without a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import IO

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from media import storage, variants
from media.models import Media, Status
from media.processing.formats import SNIFFED_BYTES, Format, sniff

BATCH_SIZE = 200


def query_pictures(user_id: int, before: int) -> QuerySet[Media]:
    """Return the user's pictures that were uploaded before an id was drawn. One that is being uploaded has no file."""
    return Media.objects.using(DEFAULT_DB_ALIAS).filter(owner=user_id, pk__lt=before).exclude(status=Status.UPLOADING)


def iterate_pictures(user_id: int, after: int, before: int) -> Iterator[Media]:
    """Yield the pictures with ids between these, in batches that hold no database resources."""
    while batch := list(query_pictures(user_id, before).filter(pk__gt=after).order_by("pk")[:BATCH_SIZE]):
        yield from batch
        after = batch[-1].pk


@contextmanager
def open_picture(media: Media) -> Iterator[tuple[str, datetime, IO[bytes]]]:
    """Provide the name in the ZIP, the time and the content of a picture. Raises storage.FileMissing."""
    with ExitStack() as stack:
        file = _open_first(stack, _paths(media))
        if file is None:
            moved = Media.objects.using(DEFAULT_DB_ALIAS).filter(pk=media.pk).first()
            file = _open_first(stack, _paths(moved)) if moved else None
        if file is None:
            raise storage.FileMissing(str(media))
        name = f"pictures/{media.created_at:%Y-%m-%d}-{media.pk}.{_extension(file)}"
        yield name, media.created_at, file


@contextmanager
def open_avatar(user: User) -> Iterator[tuple[str, datetime, IO[bytes]]]:
    """The same for the user's avatar."""
    with storage.open(user.avatar_path) as file:
        yield f"avatar.{_extension(file)}", timezone.now(), file


def has_file(media: Media) -> bool:
    """Return whether the picture should have a file. One that failed may have none."""
    return bool(_paths(media))


def _paths(media: Media) -> list[str]:
    """Return where the best file may be, best first."""
    paths = [media.original_path] if media.original_path else []
    if media.status == Status.READY:
        paths.append(f"{variants.directory_of(media)}/{media.variants[variants.LARGEST]['name']}")
    return paths


def _open_first(stack: ExitStack, paths: list[str]) -> IO[bytes] | None:
    for path in paths:
        try:
            return stack.enter_context(storage.open(path))
        except storage.FileMissing:
            continue
    return None


def _extension(file: IO[bytes]) -> str:
    """Return the extension by the file's content, never by what a client declared."""
    found = sniff(file.read(SNIFFED_BYTES))
    file.seek(0)
    return "bin" if found is None else "jpg" if found is Format.JPEG else found.value
