"""Steps in the life of a picture, for tests: upload, the work of the workers, deletion; and what others see of it."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import erasure_worker
from accounts import services as accounts
from accounts.models import User
from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs.leased import Outcome
from media import file_deletion, processing_job, relocation, uploads
from media.models import FileDeletion, Media, ProcessingJob, Relocation, Status
from media.processing import Picture
from posts import purge, services
from posts.models import PostMedia
from social.notifications.consumer import consume_batches
from tests.support import leased_jobs
from tests.support.api_user import ApiUser
from tests.support.leased_jobs import claim_job, make_first
from tests.support.pictures import expected_paths, jpeg


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
    process(media.pk)
    return reload(media)


def process(media_id: int) -> Outcome:
    """Let a worker process this picture, if it is due."""
    return processing_job.process_next() if make_first(ProcessingJob, media_id) else Outcome.UNCLAIMED


def claim_media(media: Media) -> ProcessingJob:
    """Claim a picture as a worker that has just started on it."""
    job = claim_job(processing_job.queue, ProcessingJob, media.pk)
    assert job is not None
    assert processing_job.begin_attempt(job)
    return job


def make_old(media: Media, age: timedelta) -> Media:
    """Return the picture as if it were this old. Ids contain the creation time."""
    id_ = first_id_at(timezone.now() - age) + Media.objects.count()
    with transaction.atomic():
        Media.objects.filter(pk=media.pk).update(id=id_)
        ProcessingJob.objects.filter(pk=media.pk).update(media_id=id_)
    return Media.objects.get(pk=id_)


def make_variants(claim: ProcessingJob) -> Picture:
    """Store all variants, as a worker does before it marks a claimed picture as ready."""
    with tempfile.TemporaryDirectory() as directory:
        return processing_job.store_variants(claim.media, Path(directory))


def make_due(media: Media) -> None:
    """End the lease or the retry delay of a picture."""
    leased_jobs.make_due(ProcessingJob, media.pk)


def set_private(owner: ApiUser, *, private: bool) -> None:
    accounts.update_profile(owner.id, {"is_private": private})


def delete_due_files(*, ahead_of_time: bool = False) -> None:
    """Delete scheduled files that are due; with `ahead_of_time`, all scheduled files."""
    if ahead_of_time:
        FileDeletion.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    while file_deletion.delete_due_files():
        pass


def relocate(owner_id: int) -> Outcome:
    """Let a worker move a batch of this owner's pictures, if the relocation is due."""
    return relocation.relocate_next() if make_first(Relocation, owner_id) else Outcome.UNCLAIMED


def relocate_all(owner: User) -> None:
    """Relocate all of the owner's pictures and delete the old files."""
    while relocate(owner.pk) is Outcome.CONTINUED:
        pass
    assert not Relocation.objects.filter(pk=owner.pk).exists()
    delete_due_files()


def erase_deleted_accounts() -> None:
    User.objects.filter(deleted_at__isnull=False).update(
        deleted_at=timezone.now() - erasure_worker.IN_FLIGHT_WRITES_TIMEOUT
    )
    while erasure_worker.process_next() is not Outcome.UNCLAIMED:
        pass


def purge_deleted_posts() -> None:
    while purge.purge_batch():
        pass


def stored_paths() -> set[str]:
    """Return the paths of all files in the storage."""
    root = Path(settings.MEDIA_ROOT)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def paths_in_rows() -> set[str]:
    """Return the paths of all files that rows name."""
    files = {path for media in Media.objects.filter(status=Status.READY) for path in expected_paths(media)}
    return files | set(Media.objects.exclude(original_path="").values_list("original_path", flat=True))


def assert_consistent() -> None:
    """Assert that attached pictures are those of posts and that the storage contains exactly the files in rows."""
    delete_due_files(ahead_of_time=True)
    attached = set(Media.objects.filter(is_attached=True).values_list("pk", flat=True))
    assert attached == set(PostMedia.objects.values_list("media_id", flat=True))
    assert stored_paths() == paths_in_rows()


def assert_files_in_place(owner: ApiUser, *, public: bool) -> None:
    """Assert that all rows and files are public or private, and that there are no other files."""
    pictures = list(Media.objects.filter(owner=owner.id))
    assert [media.is_public for media in pictures] == [public] * len(pictures)
    assert stored_paths() == {path for media in pictures for path in expected_paths(media)}
    assert all(path.startswith("public/" if public else "private/") for path in stored_paths())


def list_ids(caller: ApiUser, path: str) -> list[str]:
    """Return the ids on the first page of a list."""
    return [row["id"] for row in caller.get(path)["results"]]


def post_notifications(caller: ApiUser) -> list[tuple[str, str]]:
    """Return the kinds and post ids of a user's notifications about posts."""
    while consume_batches():
        pass
    entries = caller.get("/notifications?limit=100")["results"]
    return [(entry["kind"], entry["post_id"]) for entry in entries if entry["kind"] != "follow"]
