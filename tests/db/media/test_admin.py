"""Pictures in the admin, and their reprocessing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, User
from media import file_deletion, processing_job, relocation, reprocessing, storage
from media.models import FileDeletion, Media, ProcessingJob, Status
from media.processing import ProcessingError
from posts.models import Post
from tests.db.feeds.feed_setup import deliver_all, follow, read_feed
from tests.db.media.lifecycle import (
    claim_media,
    create_post,
    delete_due_files,
    make_due,
    process,
    reload,
    relocate_all,
    stored_paths,
    upload,
    upload_and_process,
)
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory
from tests.support.pictures import expected_paths, jpeg
from tests.support.staff import admin_client, create_staff, moderator_client, operator_client, run_bulk_action

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]

LIST = "/admin/media/media/"


@pytest.fixture
def owner() -> User:
    return UserFactory(username="maria")


def fail_permanently(media: Media) -> Media:
    """Let a picture kill every worker that claims it until it is given up."""
    for _ in range(processing_job.MAX_FAILURES):
        claim_media(media)
        make_due(media)
    process(media.pk)
    delete_due_files()
    failed = reload(media)
    assert failed.status == Status.FAILED
    return failed


def list_media_ids(**query: str) -> list[int]:
    answer = operator_client().get(LIST, query)
    assert answer.status_code == 200, answer.content
    return [media.pk for media in answer.context["cl"].result_list]


def refusal_of(media: Media) -> str:
    started, refused = reprocessing.reprocess([media.pk], create_staff())
    assert started == 0
    return refused[media.pk]


def test_search_and_filter_by_status_id_and_username(owner: User) -> None:
    ready, failed, waiting = upload_and_process(owner), upload(owner, jpeg()[:300]), upload(owner)
    process(failed.pk)
    uploading = Media.objects.create(owner=UserFactory(), original_path="incoming/x")
    assert list_media_ids() == [uploading.pk, waiting.pk, failed.pk, ready.pk]
    for media in (ready, failed, waiting, uploading):
        assert list_media_ids(status=reload(media).get_status_display()) == [media.pk]
        assert list_media_ids(q=str(media.pk)) == [media.pk]
    assert list_media_ids(q="MARIA") == [waiting.pk, failed.pk, ready.pk]
    assert list_media_ids(q="mari") == []


def test_list_shows_failures_and_page_shows_picture_and_post(owner: User) -> None:
    author = ApiUser()
    failed = upload(owner, jpeg()[:300])
    process(failed.pk)
    ready = upload_and_process(author.user)
    post = create_post(author, ready)
    client = operator_client()
    assert "The picture is damaged or incomplete." in client.get(LIST).content.decode()
    page = client.get(f"{LIST}{ready.pk}/change/").content.decode()
    assert post in page
    assert 'class="picture"' in page
    assert f"{ready.width} × {ready.height}" in page
    assert 'class="picture"' not in client.get(f"{LIST}{failed.pk}/change/").content.decode()


def test_page_shows_the_job_of_a_picture_that_is_retried(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    media = upload(owner)
    with monkeypatch.context() as broken:
        broken.setattr(processing_job, "store_variants", _raise(ProcessingError, "no disk space"))
        process(media.pk)
    answer = operator_client().get(f"{LIST}{media.pk}/change/")
    assert "no disk space" in answer.content.decode()
    make_due(media)
    process(media.pk)
    answer = operator_client().get(f"{LIST}{media.pk}/change/")
    assert "no disk space" not in answer.content.decode()


def test_page_without_picture_when_the_storage_cannot_sign(owner: User) -> None:
    media = upload_and_process(owner)
    with patch("media.storage.url", side_effect=storage.StorageError):
        assert operator_client().get(f"{LIST}{media.pk}/change/").status_code == 200
        assert operator_client().get(LIST).status_code == 200


def test_failed_picture_is_reprocessed_and_its_post_published(redis_broker: redis.Redis) -> None:
    author, reader = ApiUser(), UserFactory()
    follow(author.user, reader)
    media = upload(author.user)
    post = int(create_post(author, media))
    deliver_all()
    failed = fail_permanently(media)
    assert failed.original_path == media.original_path
    assert read_feed(reader) == []
    redis_broker.delete("media")
    user = create_staff("Operator", username="otto")
    assert run_bulk_action(admin_client(user), LIST, "reprocess", media.pk) == ["1 queued for reprocessing."]
    assert redis_broker.llen("media") == 1
    again = reload(media)
    assert (again.status, again.error, again.processing_job.attempts) == (Status.PROCESSING, "", 0)
    assert author.get(f"/media/{media.pk}")["status"] == "processing"
    process(media.pk)
    assert reload(media).status == Status.READY
    assert read_feed(reader) == [post]
    assert not Post.objects.get(pk=post).media_pending
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.target_type, entry.target_id) == (
        *("otto", "reprocess", "media", media.pk),
    )
    assert (entry.user_id, entry.before) == (author.id, {"status": "failed"})
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == set(expected_paths(reload(media)))


def test_reprocessed_picture_waits_another_day_for_the_storage(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    media = upload(owner)
    ProcessingJob.objects.update(created_at=timezone.now() - timedelta(days=3))
    process(media.pk)
    assert reload(media).error == processing_job.GAVE_UP_MESSAGE
    reprocessing.reprocess([media.pk], create_staff())
    with monkeypatch.context() as away:
        away.setattr(storage, "open", _raise(storage.StorageError))
        process(media.pk)
    waiting = reload(media)
    assert waiting.status == Status.PROCESSING, "the wait starts again"
    assert waiting.processing_job.due_at < timezone.now() + timedelta(seconds=6), "and so do the retry delays"
    make_due(media)
    process(media.pk)
    assert reload(media).status == Status.READY


def test_sweep_reprocesses_when_the_broker_is_down(owner: User) -> None:
    media = fail_permanently(upload(owner))
    with patch("celery.Celery.send_task", side_effect=redis.ConnectionError):
        assert reprocessing.reprocess([media.pk], create_staff()) == (1, {})
    make_due(media)
    assert processing_job.queue.has_due()


def test_kept_original_is_deleted_with_its_row(owner: User) -> None:
    media = fail_permanently(upload(owner))
    Media.objects.filter(pk=media.pk).update(id=1)  # an old id, without a post
    assert file_deletion.delete_orphans() == 1
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == set()


def test_refusals_have_reasons(owner: User) -> None:
    bad, gone = upload(owner, jpeg()[:300]), fail_permanently(upload(owner))
    process(bad.pk)
    storage.delete([gone.original_path])
    assert refusal_of(bad) == "the picture is invalid"
    assert refusal_of(gone) == "its original is not in the storage"
    assert refusal_of(upload_and_process(owner)) == "its original was not kept"
    assert refusal_of(upload(owner)) == "it is being processed"
    assert refusal_of(Media.objects.create(owner=owner, original_path="incoming/x")) == "it was never uploaded"
    assert refusal_of(Media(pk=1)) == "it was deleted"
    assert not AuditEntry.objects.exists()
    messages = run_bulk_action(operator_client(), LIST, "reprocess", bad.pk, gone.pk)
    assert messages == [
        f"Picture {bad.pk} was not reprocessed: the picture is invalid.",
        f"Picture {gone.pk} was not reprocessed: its original is not in the storage.",
    ]


def test_unavailable_storage_is_tried_only_once(owner: User) -> None:
    media = [fail_permanently(upload(owner)) for _ in range(3)]
    asked: list[str] = []

    def size(path: str) -> int:
        asked.append(path)
        if len(asked) > 1:
            raise storage.StorageError("away")
        return 1

    with patch("media.storage.size", size):
        started, refused = reprocessing.reprocess([each.pk for each in media], create_staff())
    assert (started, len(asked)) == (1, 2)
    assert refused == {each.pk: "the storage is unavailable" for each in media[1:]}


def test_only_one_of_two_operators_starts_reprocessing(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    media, size = fail_permanently(upload(owner)), storage.size

    def meanwhile(path: str) -> int | None:
        monkeypatch.setattr(storage, "size", size)
        assert reprocessing.reprocess([media.pk], create_staff()) == (1, {})
        return size(path)

    monkeypatch.setattr(storage, "size", meanwhile)
    assert refusal_of(media) == "it changed in the meantime"
    assert AuditEntry.objects.count() == 1


# --- Ready pictures with kept originals --------------------------------------------------------------


@pytest.fixture
def kept(owner: User, settings: Settings) -> Media:
    settings.MEDIA_KEEP_ORIGINALS = True
    media = upload_and_process(owner)
    delete_due_files()
    assert media.original_path in stored_paths()
    return media


def test_ready_picture_is_regenerated_while_the_old_files_are_shown(
    kept: Media, settings: Settings, redis_broker: redis.Redis
) -> None:
    redis_broker.delete("media")
    assert reprocessing.reprocess([kept.pk], create_staff()) == (1, {})
    assert redis_broker.llen("media") == 1
    during = reload(kept)
    assert (during.status, during.key, during.variants) == (Status.READY, kept.key, kept.variants)
    settings.MEDIA_JPEG = True
    reprocessing.regenerate(kept.pk)
    after = reload(kept)
    assert after.status == Status.READY
    assert after.key != kept.key
    assert "jpeg" in after.variants["150"]
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == {*expected_paths(after), after.original_path}


@pytest.mark.parametrize("error", [ProcessingError, storage.StorageError, OSError])
def test_failed_regeneration_changes_nothing(
    kept: Media, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media.variants.process", _raise(error))
    reprocessing.regenerate(kept.pk)
    assert reload(kept).key == kept.key
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == {*expected_paths(kept), kept.original_path}


def test_picture_moved_or_deleted_during_regeneration(kept: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    make = processing_job.store_variants

    def turns_private(*args: Any) -> Any:
        User.objects.update(is_private=True)
        relocation.schedule_relocation(kept.owner_id)
        relocate_all(kept.owner)
        return make(*args)

    monkeypatch.setattr(processing_job, "store_variants", turns_private)
    with patch("media.relocation.queue.request_task_on_commit"):
        reprocessing.regenerate(kept.pk)
    moved = reload(kept)
    assert not moved.is_public
    monkeypatch.setattr(processing_job, "store_variants", lambda *args: (Media.objects.all().delete(), make(*args))[1])
    reprocessing.regenerate(kept.pk)
    assert not Media.objects.exists()
    delete_due_files(ahead_of_time=True)
    assert stored_paths() <= {*expected_paths(moved), moved.original_path}, "the generated files are not used"


def test_dead_worker_leaves_no_files(kept: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    make = processing_job.store_variants

    def dies(*args: Any) -> Any:
        make(*args)
        raise SystemExit

    monkeypatch.setattr(processing_job, "store_variants", dies)
    with pytest.raises(SystemExit):
        reprocessing.regenerate(kept.pk)
    assert FileDeletion.objects.exists()
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == {*expected_paths(kept), kept.original_path}


def test_regeneration_is_refused_when_the_broker_is_down(kept: Media) -> None:
    with patch("celery.Celery.send_task", side_effect=redis.ConnectionError):
        assert "broker" in refusal_of(kept)
    assert reload(kept).reprocessed_at is None
    assert not AuditEntry.objects.exists()


def test_only_operators_reprocess_and_moderators_view(kept: Media) -> None:
    client = moderator_client()
    assert "Process again" not in client.get(f"{LIST}{kept.pk}/change/").content.decode()
    assert run_bulk_action(client, LIST, "reprocess", kept.pk) == []
    assert reload(kept).reprocessed_at is None
    assert admin_client(create_staff()).get(LIST).status_code == 403


def _raise(error: type[Exception], message: str = "no") -> Any:
    def raises(*_: Any, **__: Any) -> Any:
        raise error(message)

    return raises
