"""Steps in the life of a picture, for tests: upload, the work of the workers, deletion; and what is stored."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from accounts import erasure_worker
from accounts.models import User
from instafeed.core.jobs.leased import Outcome
from media import file_deletion, processing_job, relocation, uploads
from media.models import FileDeletion, Media, ProcessingJob, Relocation
from media.processing import Picture
from posts import purge, services
from tests.support.api_user import ApiUser
from tests.support.pictures import jpeg


def upload(owner: User, content: bytes | None = None) -> Media:
    """Upload a picture, which then waits for a worker."""
    content = jpeg() if content is None else content
    return uploads.receive(owner.pk, BytesIO(content), len(content), "")


def create_post(author: ApiUser, *pictures: Media, caption: str = "") -> str:
    """Create a post with these pictures and return its id."""
    return str(services.create_post(author.id, caption, [picture.pk for picture in pictures]).pk)


def reload(media: Media) -> Media:
    return Media.objects.get(pk=media.pk)


def upload_and_process(owner: User) -> Media:
    """Upload and process a picture."""
    media = upload(owner)
    processing_job.run(media.pk)
    return reload(media)


def claim_media(media: Media) -> ProcessingJob:
    """Claim a picture as a worker that has just started on it."""
    job = processing_job.queue.claim(media.pk)
    assert job is not None
    assert processing_job._begin_attempt(job)
    return job


def make_variants(claim: ProcessingJob) -> Picture:
    """Store all variants, as a worker does before it marks a claimed picture as ready."""
    with tempfile.TemporaryDirectory() as directory:
        return processing_job.store_variants(claim.media, Path(directory))


def make_due(media: Media) -> None:
    """End the lease or the retry delay of a picture."""
    ProcessingJob.objects.filter(pk=media.pk).update(due_at=timezone.now(), dispatch_at=timezone.now())


def delete_due_files(*, ahead_of_time: bool = False) -> None:
    """Delete scheduled files that are due; with `ahead_of_time`, all scheduled files."""
    if ahead_of_time:
        FileDeletion.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    while file_deletion.delete_due_files():
        pass


def relocate_all(owner: User) -> None:
    """Relocate all of the owner's pictures and delete the old files."""
    while relocation.relocate_batch(owner.pk) is Outcome.CONTINUED:
        pass
    assert not Relocation.objects.filter(pk=owner.pk).exists()
    delete_due_files()


def erase_deleted_accounts() -> None:
    User.objects.filter(deleted_at__isnull=False).update(
        deleted_at=timezone.now() - erasure_worker.IN_FLIGHT_WRITES_TIMEOUT
    )
    while erasure_worker.process_next():
        pass


def purge_deleted_posts() -> None:
    while purge.purge_batch():
        pass


def stored_paths() -> set[str]:
    """Return the paths of all files in the storage."""
    root = Path(settings.MEDIA_ROOT)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
