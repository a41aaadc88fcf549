"""Processing of a picture: success, dead and late workers, failures of the storage, concurrent changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone
from pytest_django import Settings

from accounts import deletion
from accounts import services as accounts
from accounts.models import User
from instafeed.backoffice import sweeps
from media import processing_job, services, storage, variants
from media.models import FileDeletion, Media, ProcessingJob, Status
from media.processing import SIZES, ProcessingError
from posts import services as posts
from tests.db.media.lifecycle import (
    claim_media,
    delete_due_files,
    erase_deleted_accounts,
    make_due,
    make_variants,
    process,
    reload,
    relocate_all,
    stored_paths,
    upload,
    upload_and_process,
)
from tests.support.factories import UserFactory
from tests.support.leased_jobs import lose_tasks
from tests.support.pictures import expected_paths, jpeg

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]


@pytest.fixture
def owner() -> User:
    return UserFactory()


def unavailable(*_: Any, **__: Any) -> Any:
    raise storage.StorageError("unavailable")


# --- Success -----------------------------------------------------------------------------------------


def test_picture_becomes_ready_and_its_original_is_deleted(owner: User) -> None:
    media = upload(owner, jpeg(1600, 900))
    assert media.status == Status.PROCESSING
    assert stored_paths() == {media.original_path}
    process(media.pk)
    delete_due_files()
    ready = reload(media)
    assert (ready.status, ready.error, ready.original_path) == (Status.READY, "", "")
    assert not ProcessingJob.objects.exists()
    assert (ready.width, ready.height) == (1600, 900)
    assert 6 <= len(ready.blurhash) <= 60
    assert {size: share["width"] for size, share in ready.variants.items()} == {str(size): size for size in SIZES}
    assert ready.is_public
    assert stored_paths() == set(expected_paths(ready)) == {f"public/{ready.key}/{size}.webp" for size in SIZES}


def test_small_picture_has_one_file_for_all_sizes_and_optional_jpegs(owner: User, settings: Settings) -> None:
    settings.MEDIA_JPEG = True
    ready = upload_and_process(owner)
    delete_due_files()
    assert (
        stored_paths()
        == set(expected_paths(ready))
        == {f"public/{ready.key}/150.{format_}" for format_ in ("webp", "jpeg")}
    )
    shown = variants.serialize(ready)
    assert shown["url"] == shown["variants"]["150"]["url"]
    assert shown["variants"]["640"]["jpeg_url"].endswith(f"/{ready.key}/150.jpeg")


def test_kept_originals_are_deleted_with_the_picture(owner: User, settings: Settings) -> None:
    settings.MEDIA_KEEP_ORIGINALS = True
    media = upload(owner)
    process(media.pk)
    delete_due_files()
    assert reload(media).original_path == media.original_path
    assert stored_paths() == {media.original_path, *expected_paths(reload(media))}
    services.delete(owner.pk, media.pk)
    delete_due_files()
    assert stored_paths() == set()


def test_picture_of_a_private_account_is_private_at_once() -> None:
    ready = upload_and_process(UserFactory(is_private=True))
    delete_due_files()
    assert stored_paths() == set(expected_paths(ready))
    assert all(path.startswith("private/") for path in expected_paths(ready))


def test_second_run_changes_nothing(owner: User) -> None:
    ready = upload_and_process(owner)
    process(ready.pk)
    assert reload(ready).__dict__ | {"_state": 0} == ready.__dict__ | {"_state": 0}
    process(12345)


# --- Dead workers ------------------------------------------------------------------------------------


def test_sweep_sends_a_lost_task_again(owner: User, redis_broker: redis.Redis) -> None:
    media = upload(owner)
    assert redis_broker.llen("media") == 1, "enqueued by the upload"
    lose_tasks(redis_broker)
    for _ in range(2):
        sweeps.sweep()
        assert redis_broker.llen("media") == 1, "once, not at every sweep"
    claim_media(media)
    lose_tasks(redis_broker)
    sweeps.sweep()
    assert redis_broker.llen("media") == 0, "claimed by a worker"
    make_due(media)
    sweeps.sweep()
    assert redis_broker.llen("media") == 1


def test_files_of_a_dead_worker_are_deleted(owner: User) -> None:
    media = upload(owner)
    first = claim_media(media)
    make_variants(first)
    make_due(media)
    process(media.pk)
    delete_due_files()
    ready = reload(media)
    assert ready.status == Status.READY
    assert ready.key != first.media.key
    assert stored_paths() == set(expected_paths(ready))


@pytest.mark.parametrize("end", ["ready", "retry", "fail"])
def test_attempt_that_lost_its_lease_changes_nothing(owner: User, end: str) -> None:
    media = upload(owner)
    late = claim_media(media)
    make_due(media)
    process(media.pk)
    delete_due_files()
    ready = reload(media)
    media.original_path = ready.original_path
    with storage.open(expected_paths(ready)[0]) as file:  # as if it had opened the original before that was deleted
        storage.save(f"{storage.variants_directory(late.media.key, is_public=True)}/150.webp", file, "image/webp")
    if end == "ready":
        other = upload(owner)
        processing_job.mark_ready(late, make_variants(claim_media(other)))
        services.delete(owner.pk, other.pk)
    elif end == "retry":
        processing_job.retry_later(late, storage.StorageError("late"))
    else:
        processing_job.mark_failed(late, "no")
    assert reload(media).__dict__ | {"_state": 0} == ready.__dict__ | {"_state": 0}
    delete_due_files()
    assert stored_paths() == set(expected_paths(ready))


def test_worker_that_is_overtaken_before_it_begins_leaves_the_picture_alone(owner: User) -> None:
    media = upload(owner)
    (late,) = processing_job.queue.claim_due(1)
    make_due(media)
    current = claim_media(media)
    assert not processing_job.begin_attempt(late)
    assert reload(media).key == current.media.key


def test_picture_that_kills_workers_is_given_up(owner: User) -> None:
    media = upload(owner)
    for _ in range(processing_job.MAX_FAILURES):
        claim_media(media)
        make_due(media)
    process(media.pk)
    delete_due_files()
    assert (reload(media).status, reload(media).error) == (Status.FAILED, processing_job.GAVE_UP_MESSAGE)
    assert stored_paths() == {media.original_path}, "kept, so that an operator can reprocess it"


# --- Failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["open", "save", "child"])
def test_transient_failures_are_retried_with_growing_delays_and_then_given_up(
    owner: User, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_child(*_: Any) -> Any:
        raise ProcessingError("no child")

    media = upload(owner)
    if broken == "child":
        monkeypatch.setattr(variants, "process", no_child)
    else:
        monkeypatch.setattr(storage, broken, unavailable)
    # A failing child counts attempts. An unavailable storage delays by a quarter of the age of the job.
    delays_by_age = [(0, 10), (0, 20), (0, 40), (0, 80), (0, 160), (0, 300)]
    if broken != "child":
        delays_by_age = [(0, 5), (60, 15), (600, 150), (3_600, 300)]
    for attempt, (age, delay) in enumerate(delays_by_age, start=1):
        make_due(media)
        began = timezone.now()
        ProcessingJob.objects.update(created_at=began - timedelta(seconds=age))
        process(media.pk)
        took = timezone.now() - began
        job = ProcessingJob.objects.get()
        assert (reload(media).status, reload(media).error) == (Status.PROCESSING, "")
        assert job.attempts == (attempt if broken == "child" else 0), "storage errors are not counted"
        longest = timedelta(seconds=delay) + took / 4  # the age has grown
        assert began + timedelta(seconds=delay) <= job.due_at <= began + took + longest
    if broken != "child":
        ProcessingJob.objects.update(created_at=timezone.now() - processing_job.RETRY_DEADLINE)
    make_due(media)
    process(media.pk)
    assert (reload(media).status, reload(media).error) == (Status.FAILED, processing_job.GAVE_UP_MESSAGE)
    delete_due_files()
    assert stored_paths() == {media.original_path}
    services.delete(owner.pk, media.pk)
    delete_due_files()
    assert stored_paths() == set()


def test_storage_failure_half_way_leaves_no_files(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    media, save = upload(owner, jpeg(1600, 900)), storage.save
    with monkeypatch.context() as patch:
        patch.setattr(
            storage, "save", lambda path, *rest: unavailable() if path.endswith("640.webp") else save(path, *rest)
        )
        process(media.pk)
    assert len(stored_paths()) == 3, "the original and two variants"
    make_due(media)
    process(media.pk)
    delete_due_files()
    assert stored_paths() == set(expected_paths(reload(media)))


def test_bad_picture_fails_at_once_with_a_reason(owner: User) -> None:
    media = upload(owner, jpeg(600, 400)[:700])
    process(media.pk)
    failed = reload(media)
    assert failed.status == Status.FAILED
    assert not ProcessingJob.objects.exists()
    assert failed.error == "The picture is damaged or incomplete."
    delete_due_files()
    assert stored_paths() == set()


# --- Changes during processing -----------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["picture", "owner"])
def test_deletion_during_processing_leaves_no_files(owner: User, gone: str) -> None:
    claim = claim_media(upload(owner))
    picture = make_variants(claim)
    if gone == "owner":
        deletion.delete_account(owner.pk)
        erase_deleted_accounts()
    else:
        services.delete(owner.pk, claim.pk)
    assert not Media.objects.exists()
    processing_job.mark_ready(claim, picture)
    delete_due_files()
    assert stored_paths() == set()


def test_worker_that_dies_after_the_deletion_leaves_no_files(owner: User) -> None:
    claim = claim_media(upload(owner))
    services.delete(owner.pk, claim.pk)
    delete_due_files()
    path = f"{storage.variants_directory(claim.media.key, is_public=True)}/150.webp"
    with storage.open(expected_paths(upload_and_process(owner))[0]) as file:
        storage.save(path, file, "image/webp")
    delete_due_files()
    assert path in stored_paths(), "kept until the second deletion"
    delete_due_files(ahead_of_time=True)
    assert path not in stored_paths()


def test_form_reused_after_processing_leaves_no_file(owner: User) -> None:
    media = upload(owner)
    process(media.pk)
    delete_due_files()
    with storage.open(expected_paths(reload(media))[0]) as file:
        storage.save(media.original_path, file, "image/jpeg")
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == set(expected_paths(reload(media)))
    assert not FileDeletion.objects.exists()


@pytest.mark.parametrize("moved_at_once", [True, False])
def test_owner_who_turns_private_during_processing(owner: User, moved_at_once: bool) -> None:
    claim = claim_media(upload(owner))
    picture = make_variants(claim)
    accounts.update_profile(owner.pk, {"is_private": True})
    if moved_at_once:
        relocate_all(owner)
    processing_job.mark_ready(claim, picture)
    relocate_all(owner)
    assert stored_paths() == set(expected_paths(reload(claim.media)))
    assert not reload(claim.media).is_public


@pytest.mark.parametrize("moved_at_once", [True, False])
def test_post_hidden_during_processing(owner: User, moved_at_once: bool) -> None:
    claim = claim_media(upload(owner))
    picture = make_variants(claim)
    post = posts.create_post(owner.pk, "", [claim.pk])
    posts.hide_post(post.pk)
    if moved_at_once:
        relocate_all(owner)
    processing_job.mark_ready(claim, picture)
    relocate_all(owner)
    assert stored_paths() == set(expected_paths(reload(claim.media)))
    assert not reload(claim.media).is_public
    posts.restore_post(post.pk)
    relocate_all(owner)
    assert stored_paths() == set(expected_paths(reload(claim.media)))
    assert reload(claim.media).is_public
