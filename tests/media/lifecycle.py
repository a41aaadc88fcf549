"""Short ways to say what the tests of media need: uploads, work done as workers do it, what lies in the storage."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from accounts import erasure_worker
from accounts.models import User
from media import file_deletion, processing_job, relocation, uploads
from media.models import FileDeletion, Media, Relocation
from media.processing import Picture
from posts import purge
from tests.media.pictures import jpeg


def upload(owner: User, content: bytes | None = None) -> Media:
    """A picture that waits for a worker."""
    content = jpeg() if content is None else content
    return uploads.receive(owner.pk, BytesIO(content), len(content), "")


def reload(media: Media) -> Media:
    return Media.objects.get(pk=media.pk)


def upload_and_process(owner: User) -> Media:
    """One that went through everything."""
    media = upload(owner)
    processing_job.run(media.pk)
    return reload(media)


def claim_media(media: Media) -> Media:
    """As a worker has it that has just begun."""
    found = processing_job._claim(media.pk)
    assert found is not None
    return found


def make_variants(claim: Media) -> Picture:
    """What a worker does before it finishes: all files are stored."""
    with tempfile.TemporaryDirectory() as directory:
        return processing_job.store_variants(claim, Path(directory))


def make_due(media: Media) -> None:
    """The lease is over, or the pause."""
    Media.objects.filter(pk=media.pk).update(due_at=timezone.now())


def delete_due_files(*, all_of_them: bool = False) -> None:
    """What is due to be removed; `all_of_them`: and what is later."""
    if all_of_them:
        FileDeletion.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    while file_deletion.delete_due_files():
        pass


def relocate_all(owner: User) -> None:
    """Bring the owner's files to where they belong."""
    while relocation.relocate_batch(owner.pk):
        pass
    assert not Relocation.objects.filter(pk=owner.pk).exists()
    delete_due_files()


def erase_all() -> None:
    User.objects.filter(deleted_at__isnull=False).update(
        deleted_at=timezone.now() - erasure_worker.IN_FLIGHT_WRITES_TIMEOUT
    )
    while erasure_worker.process_next():
        pass


def purge_all() -> None:
    while purge.purge_batch():
        pass


def stored_paths() -> set[str]:
    """Every file in the storage, by its path."""
    root = Path(settings.MEDIA_ROOT)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
