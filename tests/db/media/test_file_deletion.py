"""Deletion of files: orphans, purged posts, erased accounts, and failures of the storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.http import Http404
from django.test import Client
from django.utils import timezone

from accounts import deletion
from accounts import services as accounts
from instafeed.backoffice import sweeps
from instafeed.core.jobs.leased import Outcome
from media import file_deletion, storage, tasks, uploads
from media import services as media_services
from media.models import FileDeletion, Media, Status
from media.services import UnknownMedia
from media.storage.backend import INVALIDATION_BATCH_SIZE
from posts import services
from tests.db.media.lifecycle import (
    assert_consistent,
    delete_due_files,
    erase_deleted_accounts,
    make_old,
    purge_deleted_posts,
    reload,
    relocate,
    stored_paths,
    upload,
)
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.leased_jobs import lose_tasks
from tests.support.pictures import expected_paths, ready_media

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]

DAY, TWO_HOURS, MINUTE = timedelta(hours=24), timedelta(hours=2), timedelta(minutes=1)


@pytest.fixture
def owner() -> ApiUser:
    return ApiUser(Client(raise_request_exception=False))


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
    while relocate(owner.id) is Outcome.CONTINUED:
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
    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete", unavailable)
        for delay in (timedelta(seconds=seconds) for seconds in (2, 4, 8, 16)):
            began = timezone.now()
            FileDeletion.objects.update(due_at=began)
            assert not file_deletion.delete_due_files()
            assert began + delay <= FileDeletion.objects.get().due_at <= timezone.now() + delay
        for _ in range(12):
            FileDeletion.objects.update(due_at=timezone.now())
            file_deletion.delete_due_files()
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
    lose_tasks(redis_broker)
    sweeps.sweep()
    assert "remove_files" in str(redis_broker.lrange("bulk", 0, -1))
    tasks.remove_files()
    assert stored_paths() == set()


def test_nothing_is_sent_while_no_deletion_is_due(redis_broker: redis.Redis) -> None:
    file_deletion.register_pending_files(["incoming/x"])
    sweeps.sweep()
    assert redis_broker.llen("bulk") == 0


def test_files_are_deleted_outside_of_transactions(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = storage.delete
    in_transaction: list[bool] = []

    def check(paths: list[str]) -> None:
        in_transaction.append(connection.in_atomic_block)
        delete(paths)

    monkeypatch.setattr(storage, "delete", check)
    media_services.delete(owner.id, ready_media(owner.user).pk)
    delete_due_files()
    assert in_transaction == [False]
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


# --- Moderation first ---------------------------------------------------------------------------------------


@pytest.fixture
def refused_purges(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The keys that the CDN refuses to purge."""
    refused: set[str] = set()

    def purge(keys: Sequence[str]) -> None:
        if refused & set(keys):
            raise storage.StorageError("TooManyInvalidationsInProgress")

    monkeypatch.setattr(storage, "purge", purge)
    return refused


def test_what_a_moderator_took_down_is_deleted_first(refused_purges: set[str]) -> None:
    """Although users made more files unwanted before than a batch has."""
    for number in range(INVALIDATION_BATCH_SIZE + 5):
        FileDeletion.objects.create(paths=[], public_key=str(number))
    urgent = FileDeletion.objects.create(paths=[], public_key="urgent", is_urgent=True)
    assert file_deletion.delete_due_files()
    assert not FileDeletion.objects.filter(pk=urgent.pk).exists()
    assert FileDeletion.objects.count() == INVALIDATION_BATCH_SIZE + 5


def test_other_purges_wait_for_those_of_moderators(refused_purges: set[str]) -> None:
    """Otherwise they would use up what the CDN accepts at a time."""
    refused_purges.add("urgent")
    urgent = FileDeletion.objects.create(paths=[], public_key="urgent", is_urgent=True)
    other = FileDeletion.objects.create(paths=[], public_key="other")
    FileDeletion.objects.create(paths=["incoming/no-copy-in-the-cdn-of-it"])
    delete_due_files()
    assert set(FileDeletion.objects.all()) == {urgent, other}
    refused_purges.clear()
    delete_due_files(ahead_of_time=True)
    assert not FileDeletion.objects.exists()


def test_purge_of_a_moderator_that_always_fails_does_not_block_others(refused_purges: set[str]) -> None:
    refused_purges.add("urgent")
    attempts = file_deletion.MAX_HOLDING_ATTEMPTS
    urgent = FileDeletion.objects.create(paths=[], public_key="urgent", is_urgent=True, attempts=attempts)
    FileDeletion.objects.create(paths=[], public_key="other")
    delete_due_files()
    assert set(FileDeletion.objects.all()) == {urgent}
