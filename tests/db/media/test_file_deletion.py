"""Deletion of files: orphans, purged posts, erased accounts, failures of the storage, and concurrent changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import pytest
import redis
from django.db import connection, transaction
from django.http import Http404
from django.test import Client
from django.utils import timezone

from accounts import deletion
from accounts import services as accounts
from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs.leased import Outcome
from media import file_deletion, processing_job, relocation, storage, tasks, uploads
from media import services as media_services
from media.models import FileDeletion, Media, ProcessingJob, Status
from media.services import MediaInUse, UnknownMedia
from media.storage.cloudfront import INVALIDATION_BATCH_SIZE
from posts import purge, services
from posts.models import Post, PostMedia
from tests.db.media.lifecycle import (
    claim_media,
    delete_due_files,
    erase_deleted_accounts,
    make_variants,
    purge_deleted_posts,
    reload,
    relocate_all,
    stored_paths,
    upload,
)
from tests.support.api_user import ApiUser
from tests.support.concurrency import run_concurrently
from tests.support.error_shape import assert_error
from tests.support.pictures import expected_paths, ready_media

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_empty_storage")]

DAY, TWO_HOURS, MINUTE = timedelta(hours=24), timedelta(hours=2), timedelta(minutes=1)


@pytest.fixture
def owner() -> ApiUser:
    return ApiUser(Client(raise_request_exception=False))


def make_old(media: Media, age: timedelta) -> Media:
    """Return the picture as if it were this old. Ids contain the creation time."""
    id_ = first_id_at(timezone.now() - age) + Media.objects.count()
    with transaction.atomic():
        Media.objects.filter(pk=media.pk).update(id=id_)
        ProcessingJob.objects.filter(pk=media.pk).update(media_id=id_)
    return Media.objects.get(pk=id_)


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


def unexpected_errors(answers: list[Any], *expected: type[Exception]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, expected)]


# --- Orphans -----------------------------------------------------------------------------------------


def test_unattached_pictures_are_deleted_after_a_day(owner: ApiUser) -> None:
    orphans = [
        make_old(ready_media(owner.user), DAY + MINUTE),
        make_old(upload(owner.user), DAY + MINUTE),
        make_old(Media.objects.create(owner=owner.user, status=Status.FAILED), DAY + MINUTE),
    ]
    attached = make_old(ready_media(owner.user), 2 * DAY)
    services.create_post(owner.id, "", [attached.pk])
    young = make_old(ready_media(owner.user), DAY - MINUTE)
    tasks.delete_orphans()
    assert set(Media.objects.values_list("pk", flat=True)) == {attached.pk, young.pk}
    assert orphans
    assert_consistent()


def test_abandoned_uploads_are_deleted_after_two_hours(owner: ApiUser) -> None:
    old, young = (uploads.begin(owner.id, "image/jpeg", 5, "")[0] for _ in range(2))
    old, young = make_old(old, TWO_HOURS + MINUTE), make_old(young, TWO_HOURS - MINUTE)
    with storage.open(expected_paths(ready_media(owner.user))[0]) as file:
        storage.save(old.original_path, file, "image/jpeg")  # uploaded, but never completed
    processing = make_old(upload(owner.user), TWO_HOURS + MINUTE)
    tasks.delete_orphans()
    delete_due_files()
    assert old.original_path not in stored_paths()
    assert set(Media.objects.exclude(status=Status.READY).values_list("pk", flat=True)) == {young.pk, processing.pk}


def test_orphans_are_deleted_in_batches(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_deletion, "ORPHANS_BATCH_SIZE", 2)
    for _ in range(5):
        make_old(ready_media(owner.user), DAY + MINUTE)
    tasks.delete_orphans()
    assert not Media.objects.exists()
    assert_consistent()


def test_delete_request_spares_pictures_in_posts(owner: ApiUser) -> None:
    used, free = ready_media(owner.user), ready_media(owner.user)
    post = services.create_post(owner.id, "", [used.pk])
    assert_error(owner.call("delete", f"/media/{used.pk}"), 409)
    assert_error(ApiUser().call("delete", f"/media/{free.pk}"), 404)
    assert owner.call("delete", f"/media/{free.pk}").status_code == 204
    assert_error(owner.call("delete", f"/media/{free.pk}"), 404)
    delete_due_files()
    assert stored_paths() == set(expected_paths(used))
    services.delete_post(post.pk, owner.id)
    assert_error(owner.call("delete", f"/media/{used.pk}"), 409)
    purge_deleted_posts()
    assert_error(owner.call("delete", f"/media/{used.pk}"), 404)
    assert_consistent()


# --- Posts and accounts ------------------------------------------------------------------------------


def test_purge_of_a_post_deletes_only_its_pictures(owner: ApiUser) -> None:
    kept = ready_media(owner.user)
    services.create_post(owner.id, "", [kept.pk])
    post = services.create_post(owner.id, "", [ready_media(owner.user).pk, ready_media(owner.user, is_public=False).pk])
    services.delete_post(post.pk, owner.id)
    delete_due_files()
    assert len(stored_paths()) == 12
    purge_deleted_posts()
    delete_due_files()
    assert list(Media.objects.all()) == [kept]
    assert stored_paths() == set(expected_paths(kept))


def test_erased_account_leaves_no_file(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ready_media(ApiUser().user)
    for _ in range(3):
        services.create_post(owner.id, "", [ready_media(owner.user).pk, upload(owner.user).pk])
    pictures = [ready_media(owner.user), ready_media(owner.user, is_public=False), upload(owner.user)]
    uploads.begin(owner.id, "image/jpeg", 5, "")
    accounts.update_profile(owner.id, {"avatar": pictures[0].pk})
    deletion.delete_account(owner.id)
    while relocation.relocate_batch(owner.id) is Outcome.CONTINUED:
        pass
    erase_deleted_accounts()
    delete_due_files()
    assert list(Media.objects.all()) == [other]
    assert stored_paths() == set(expected_paths(other))


# --- Retries and batches -----------------------------------------------------------------------------


def test_unavailable_storage_is_retried_with_growing_delays(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any) -> None:
        raise storage.StorageError("unavailable")

    media = ready_media(owner.user)
    media_services.delete(owner.id, media.pk)
    pauses = []
    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete", unavailable)
        for _ in range(4):
            FileDeletion.objects.update(due_at=timezone.now())
            assert not file_deletion.delete_due_files()
            pauses.append((FileDeletion.objects.get().due_at - timezone.now()).total_seconds())
        for _ in range(12):
            FileDeletion.objects.update(due_at=timezone.now())
            file_deletion.delete_due_files()
    assert [round(pause) for pause in pauses] == [2, 4, 8, 16]
    assert FileDeletion.objects.get().due_at - timezone.now() <= file_deletion.queue.max_retry_delay
    delete_due_files()
    assert stored_paths() == set(expected_paths(media)), "the second deletion is not due yet"
    assert_consistent()
    assert not FileDeletion.objects.exists()


def test_unavailable_cdn_is_retried(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    purged: list[str] = []

    def unavailable(keys: list[str]) -> None:
        purged.extend(keys)
        if len(purged) == 1:
            raise storage.StorageError("unavailable")

    media = ready_media(owner.user)
    monkeypatch.setattr(storage, "purge", unavailable)
    media_services.delete(owner.id, media.pk)
    delete_due_files()
    assert (purged, FileDeletion.objects.count()) == ([media.key], 1)
    delete_due_files(ahead_of_time=True)
    assert (purged, FileDeletion.objects.count()) == ([media.key] * 2, 0)


def test_sweep_sends_a_lost_task_again(owner: ApiUser, redis_broker: redis.Redis) -> None:
    media_services.delete(owner.id, ready_media(owner.user).pk)
    redis_broker.flushdb()
    tasks.sweep_media()
    assert b"remove_files" in b"".join(redis_broker.lrange("maintenance", 0, -1))
    tasks.remove_files()
    assert stored_paths() == set()


def test_nothing_is_sent_while_no_deletion_is_due(redis_broker: redis.Redis) -> None:
    file_deletion.register_pending_files(["incoming/x"])
    tasks.sweep_media()
    assert redis_broker.llen("maintenance") == 0


def test_files_are_deleted_outside_of_transactions(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = storage.delete

    def check(paths: list[str]) -> None:
        assert not connection.in_atomic_block
        delete(paths)

    monkeypatch.setattr(storage, "delete", check)
    media_services.delete(owner.id, ready_media(owner.user).pk)
    delete_due_files()
    assert stored_paths() == set()


def test_moderator_does_not_wait_for_a_worker_that_has_claimed_the_files(owner: ApiUser) -> None:
    media = ready_media(owner.user)
    media_services.delete(owner.id, media.pk)
    claimed = file_deletion.queue.claim_due(10)
    file_deletion.delete_public_files([media.key])
    assert (stored_paths(), FileDeletion.objects.count()) == (set(), 0)
    assert file_deletion.queue.delete(claimed) == 0


def test_files_that_a_worker_has_tried_to_delete_cannot_be_kept() -> None:
    path = storage.new_incoming_path()
    pending = file_deletion.register_pending_files([path])
    FileDeletion.objects.update(due_at=timezone.now())
    (claimed,) = file_deletion.queue.claim_due(10)
    assert not file_deletion.confirm_files(pending)
    file_deletion.queue.retry_later(claimed, storage.StorageError("unavailable"))
    assert not file_deletion.confirm_files(pending), "some of them may be deleted"
    assert file_deletion.confirm_files(file_deletion.register_pending_files([path]))


def test_concurrent_workers_delete_everything_once(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_deletion, "DELETION_BATCH_SIZE", 2)
    for _ in range(12):
        media_services.delete(owner.id, ready_media(owner.user).pk)
    assert not unexpected_errors(run_concurrently([tasks.remove_files] * 3))
    tasks.remove_files()
    assert (stored_paths(), FileDeletion.objects.count()) == (set(), 0)


def test_no_batch_asks_more_of_the_cdn_than_it_accepts_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def purge_files(keys: Sequence[str]) -> None:
        if len(keys) > INVALIDATION_BATCH_SIZE:
            raise storage.StorageError("TooManyInvalidationsInProgress")

    monkeypatch.setattr(storage, "purge", purge_files)
    for number in range(INVALIDATION_BATCH_SIZE + 5):
        FileDeletion.objects.create(paths=[], public_key=str(number))
    assert file_deletion.delete_due_files()
    assert FileDeletion.objects.count() == 5
    assert file_deletion.delete_due_files()
    assert not FileDeletion.objects.exists()


def test_failed_transaction_deletes_nothing(owner: ApiUser) -> None:
    media = ready_media(owner.user)
    with pytest.raises(Http404):
        media_services.delete(ApiUser().id, media.pk)
    with pytest.raises(UnknownMedia):
        services.create_post(owner.id, "", [media.pk, 12345])
    assert not reload(media).is_attached
    assert_consistent()


def test_one_bad_row_does_not_block_the_others(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    delete, stuck, others = storage.delete, ready_media(owner.user), [ready_media(owner.user) for _ in range(3)]

    def refuse_stuck(wanted: list[str]) -> None:
        if any(stuck.key in path for path in wanted):
            raise storage.StorageError("refused")
        delete(wanted)

    monkeypatch.setattr(storage, "delete", refuse_stuck)
    for media in [stuck, *others]:
        media_services.delete(owner.id, media.pk)
    delete_due_files()
    assert stored_paths() == set(expected_paths(stuck))
    assert FileDeletion.objects.get().public_key == stuck.key


# --- Concurrent changes ------------------------------------------------------------------------------


@pytest.mark.parametrize("deletes", ["orphans", "by hand"])
def test_delete_and_post_at_the_same_time(owner: ApiUser, deletes: str) -> None:
    for number in range(6):
        media = make_old(ready_media(owner.user), DAY + MINUTE)
        delete: Callable[[], Any] = partial(media_services.delete, owner.id, media.pk)
        if deletes == "orphans":
            delete = file_deletion.delete_orphans
        share = partial(services.create_post, owner.id, "", [media.pk])
        answers = run_concurrently([share, delete] if number % 2 else [delete, share])
        assert not unexpected_errors(answers, UnknownMedia, MediaInUse)
        posted = any(isinstance(answer, Post) for answer in answers)
        assert posted == Media.objects.filter(pk=media.pk).exists()
    assert_consistent()
    assert Post.objects.count() == PostMedia.objects.count()


def test_two_posts_with_the_same_picture_at_the_same_time(owner: ApiUser) -> None:
    for _ in range(5):
        media = [ready_media(owner.user) for _ in range(3)]
        ids = [picture.pk for picture in media]
        answers = run_concurrently([partial(services.create_post, owner.id, "", order) for order in (ids, ids[::-1])])
        assert len([answer for answer in answers if isinstance(answer, Post)]) == 1
        assert len(unexpected_errors(answers, media_services.UnusableMedia)) == 0
    assert_consistent()


def test_concurrent_changes_of_one_account_neither_deadlock_nor_leak_files(owner: ApiUser) -> None:
    """Locks must be taken in the order owner, media, posts. Any other order deadlocks here."""
    random = Random(4)
    pool = [services.create_post(owner.id, "", [ready_media(owner.user).pk]).pk for _ in range(6)]
    claims = [claim_media(upload(owner.user)) for _ in range(6)]
    made = make_variants(claims[0])
    for claim in claims[1:]:
        for name in {variant.filename for variant in made.variants}:
            storage.copy(f"public/{claims[0].media.key}/{name}", f"public/{claim.media.key}/{name}")
    pool += [services.create_post(owner.id, "", [claim.pk]).pk for claim in claims]

    def rounds(*steps: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            for step in steps:
                step()

        return run

    posts = random.sample(pool, len(pool))
    steps_of_threads = [
        rounds(*(partial(processing_job._mark_ready, claim, made) for claim in claims[:4])),
        rounds(*(partial(processing_job._mark_failed, claim, "no") for claim in claims[4:])),
        rounds(*(partial(services.delete_post, post, owner.id) for post in posts[:8])),
        rounds(
            *(partial(services.hide_post, post) for post in pool), *map(partial(partial, services.restore_post), posts)
        ),
        rounds(*(partial(services.edit_post, post, f"#tag{post % 3}") for post in posts)),
        rounds(*[partial(relocation.relocate_batch, owner.id)] * 8),
        rounds(*[purge.purge_batch, file_deletion.delete_orphans, file_deletion.delete_due_files] * 6),
        rounds(*(partial(accounts.update_profile, owner.id, {"is_private": private}) for private in [True, False] * 4)),
        rounds(*(lambda: services.create_post(owner.id, "", [ready_media(owner.user).pk]) for _ in range(4))),
    ]
    assert not unexpected_errors(run_concurrently(steps_of_threads))
    purge_deleted_posts()
    relocate_all(owner.user)
    assert_consistent()
    assert all(media.is_public != media.is_withheld for media in Media.objects.filter(status=Status.READY))
    assert not Post.objects.filter(media_pending=True).exclude(media__status=Status.FAILED).exists()


def test_processing_that_ends_during_a_purge_does_not_deadlock(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The purge locks the post, then the picture. Processing locks the picture and must not lock the post."""
    release = media_services.delete_for_posts

    for _ in range(3):
        claim = claim_media(upload(owner.user))
        picture = make_variants(claim)
        post = services.create_post(owner.id, "", [claim.pk])
        services.delete_post(post.pk, owner.id)

        def meanwhile(media_ids: list[int], claim: ProcessingJob = claim, picture: Any = picture) -> None:
            assert not unexpected_errors(run_concurrently([partial(processing_job._mark_ready, claim, picture)]))
            release(media_ids)

        with monkeypatch.context() as patch:
            patch.setattr(media_services, "delete_for_posts", meanwhile)
            purge_deleted_posts()
    assert not Media.objects.exists()
    assert_consistent()
