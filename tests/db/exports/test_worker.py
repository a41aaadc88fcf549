"""The worker that makes ZIP exports, on S3 over HTTP and on a local directory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts import deletion
from accounts.models import User
from instafeed.core.jobs.leased import JobState, Outcome
from instafeed.exports import requests, tasks, worker
from instafeed.exports.models import Export, ExportSlice
from instafeed.exports.queue import queue
from media import storage
from media.models import FileDeletion, Media, Status
from tests.db.exports.lifecycle import expire, finish, kept_original, read, reload, request, stored, work
from tests.db.media.lifecycle import delete_due_files
from tests.support.factories import UserFactory
from tests.support.leased_jobs import make_due
from tests.support.mails import send_due_mails
from tests.support.pictures import expected_paths, ready_media
from tests.support.populated_account import populate_account, run_erasure

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice")


@pytest.fixture
def one_picture_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.0)


@pytest.mark.usefixtures("each_backend")
def test_export_has_the_data_and_all_pictures(alice: User) -> None:
    populate_account(alice)
    Export.objects.filter(user=alice).delete()
    kept, small = kept_original(alice, 5_000), ready_media(alice, is_public=False)
    avatar = f"avatars/{storage.new_key()}.webp"
    storage.copy(f"private/{small.key}/320.webp", avatar)
    User.objects.filter(pk=alice.pk).update(avatar_path=avatar)
    export = finish(request(alice))
    assert (export.state, export.progress) == (JobState.DONE, 100)
    archive = read(export)
    assert archive.file_of(kept) == stored(kept.original_path)
    assert archive.file_of(small) == b"1080.webp", "the largest variant, as there is no original"
    assert archive.files["avatar.bin"] == b"320.webp"
    assert f"pictures/{kept.created_at:%Y-%m-%d}-{kept.pk}.jpg" in archive.names
    assert {row["media_id"] for row in archive.data["files"]} == {None} | {
        str(pk) for pk in Media.objects.filter(owner=alice).values_list("pk", flat=True)
    }
    for post in archive.data["posts"]:
        assert archive.file_of(Media.objects.get(pk=post["media"][0]["id"])) == b"1080.webp"
    assert archive.data["profile"][0]["username"] == "alice"
    assert archive.names[-1] == "export.json"


@pytest.mark.usefixtures("directory")
def test_a_mail_says_that_the_export_is_ready() -> None:
    """Without a URL, with which any reader of the mail could download everything."""
    owner = UserFactory(username="alice", email="alice@example.org", email_verified=True)
    export = finish(request(owner))
    (mail,) = send_due_mails()
    assert mail.to == ["alice@example.org"]
    assert f"{export.expires_at:%Y-%m-%d %H:%M} UTC" in mail.body
    assert export.path not in mail.body
    finish(request(UserFactory(email="claim@example.org", email_verified=False)))
    assert send_due_mails() == []


@pytest.mark.usefixtures("each_backend")
def test_account_without_pictures(alice: User) -> None:
    archive = read(finish(request(alice)))
    assert archive.names == ["export.json"]
    assert archive.data["files"] == []


@pytest.mark.usefixtures("each_backend", "one_picture_a_slice")
def test_slices_join_to_one_archive(alice: User) -> None:
    """On S3 some of these slices complete a part of 5 MiB, and the others leave a tail."""
    pictures = [kept_original(alice) for _ in range(4)] + [ready_media(alice)]
    export, seen = request(alice), []
    while (outcome := work(export)) is Outcome.CONTINUED:
        seen.append(reload(export).progress)
    assert outcome is Outcome.FINISHED
    assert len(seen) == len(pictures)
    assert seen == sorted(set(seen))
    assert 0 < seen[0] < seen[-1] < 100
    archive = read(reload(export))
    originals = [media for media in pictures if media.original_path]
    assert [archive.file_of(media) for media in originals] == [stored(media.original_path) for media in originals]
    assert len(archive.names) == 6
    assert not ExportSlice.objects.exists()


def kill_at(monkeypatch: pytest.MonkeyPatch, step: str, calls: int) -> None:
    """Kill the worker in its n-th call of a step, before the step or after it."""
    before, left = step.startswith("before"), [calls]
    targets: dict[str, tuple[Any, str]] = {
        "begin": (storage.multipart, "begin"),
        "put": (storage.multipart, "put"),
        "complete": (storage.multipart, "complete"),
        "save": (storage, "save"),
        "checkpoint": (queue, "checkpoint"),
        "finish": (queue, "finish"),
    }
    module, name = targets[step.split()[1]]
    real: Callable[..., Any] = getattr(module, name)

    def step_with_kill(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and before:
            raise SystemExit
        result = real(*arguments, **options)
        if left[0] == 0:
            raise SystemExit
        return result

    monkeypatch.setattr(module, name, step_with_kill)


@pytest.mark.usefixtures("one_picture_a_slice", "each_backend")
@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("step", [f"{when} {name}" for when in ("before", "after") for name in ("put", "checkpoint")])
def test_killed_slice_is_done_again(alice: User, step: str, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    check_kill(alice, step, calls, monkeypatch)


@pytest.mark.usefixtures("one_picture_a_slice", "each_backend")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["begin", "complete", "finish"])
def test_killed_beginning_or_end_is_done_again(
    alice: User, when: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_kill(alice, f"{when} {name}", 1, monkeypatch)


@pytest.mark.usefixtures("one_picture_a_slice", "bucket")
@pytest.mark.parametrize("step", ["before save", "after save"])
def test_killed_save_of_a_tail_is_done_again(alice: User, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_kill(alice, step, 2, monkeypatch)


def check_kill(alice: User, step: str, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill a worker at this step. Assert that the next one makes a whole archive, and repeats no finished slice."""
    pictures = [kept_original(alice) for _ in range(4)]
    export, opened = request(alice), list[str]()
    real_open = storage.open
    with monkeypatch.context() as patched:
        kill_at(patched, step, calls)
        with pytest.raises(SystemExit):
            finish(export)
    before = reload(export)

    def open_and_record(path: str) -> Any:
        opened.append(path)
        return real_open(path)

    monkeypatch.setattr(storage, "open", open_and_record)
    make_due(Export, export.pk)
    archive = read(finish(export))
    assert [archive.file_of(media) for media in pictures] == [stored(media.original_path) for media in pictures]
    assert len(archive.names) == 5
    again = [media for media in pictures if media.original_path in opened[: opened.index(export.path)]]
    assert len(again) == 4 - before.pictures_done


@pytest.mark.usefixtures("each_backend", "one_picture_a_slice")
def test_overtaken_worker_changes_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lease expires while it stores a part; another worker does the slice with another picture."""
    pictures, real_put, outcomes = [kept_original(alice, 6 * 2**20) for _ in range(2)], storage.multipart.put, []
    export = request(alice)

    def put_late(*arguments: Any) -> storage.Part:
        monkeypatch.setattr(storage.multipart, "put", real_put)
        Media.objects.filter(pk=pictures[0].pk).update(original_path="")  # so the same slice is shorter
        make_due(Export, export.pk)
        outcomes.append(work(export))
        return real_put(*arguments)

    monkeypatch.setattr(storage.multipart, "put", put_late)
    assert work(export) is Outcome.OVERTAKEN
    assert outcomes == [Outcome.CONTINUED]
    archive = read(finish(export))
    assert archive.file_of(pictures[0]) == b"1080.webp"
    assert archive.file_of(pictures[1]) == stored(pictures[1].original_path)


@pytest.mark.usefixtures("directory")
def test_lost_parts_are_made_again(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, real_complete = kept_original(alice, 6 * 2**20), storage.multipart.complete
    export = request(alice)
    work(export)

    def lose_parts(path: str, upload_id: str, parts: Any) -> None:
        monkeypatch.setattr(storage.multipart, "complete", real_complete)
        storage.multipart.abort(path, upload_id)
        real_complete(path, upload_id, parts)

    monkeypatch.setattr(storage.multipart, "complete", lose_parts)
    assert work(export) is Outcome.FAILED
    assert (reload(export).pictures_done, reload(export).upload_id) == (0, "")
    make_due(Export, export.pk)
    archive = read(finish(export))
    assert archive.file_of(picture) == stored(picture.original_path)
    assert len(archive.names) == 2


@pytest.mark.usefixtures("each_backend")
def test_part_that_another_worker_replaced_is_noticed(alice: User) -> None:
    """A worker that wakes up long after its lease could store other bytes under the number of a stored part."""
    picture = kept_original(alice, 6 * 2**20)
    export = request(alice)
    work(export)
    storage.multipart.put(export.path, reload(export).upload_id, 1, BytesIO(b"late" * 2 * 2**20))
    archive = read(finish(export))
    assert archive.file_of(picture) == stored(picture.original_path)


@pytest.mark.usefixtures("directory")
def test_missing_files_are_listed(alice: User) -> None:
    gone, kept = ready_media(alice), ready_media(alice)
    lost_original = ready_media(alice, original_path=storage.new_incoming_path())
    failed = Media.objects.create(owner=alice, status=Status.FAILED, error="no picture")
    storage.delete(expected_paths(gone))
    export = finish(request(alice))
    archive = read(export)
    assert archive.file_of(gone) is None
    assert archive.file_of(kept) == archive.file_of(lost_original) == b"1080.webp"
    assert str(failed.pk) not in [row["media_id"] for row in archive.data["files"]], "it has no file to miss"
    assert str(failed.pk) in [row["id"] for row in archive.data["media"]]


@pytest.mark.usefixtures("directory")
def test_picture_that_is_moved_meanwhile_is_found(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, key, real_open = ready_media(alice), storage.new_key(), storage.open

    def move_first(path: str) -> Any:
        if path.startswith("public/"):
            storage.copy(path, f"private/{key}/1080.webp")
            storage.delete([path])
            Media.objects.filter(pk=picture.pk).update(key=key, is_public=False)
        return real_open(path)

    monkeypatch.setattr(storage, "open", move_first)
    assert read(finish(request(alice))).file_of(picture) == b"1080.webp"


@pytest.mark.usefixtures("directory")
def test_pictures_of_the_request_and_no_later_or_other_ones(alice: User) -> None:
    ready_media(alice)
    Media.objects.create(owner=alice, status=Status.UPLOADING, original_path=storage.new_incoming_path())
    ready_media(UserFactory())
    export = request(alice)
    late = ready_media(alice)
    archive = read(finish(export))
    assert len(archive.names) == 2
    assert str(late.pk) not in [row["media_id"] for row in archive.data["files"]]


@pytest.mark.usefixtures("directory", "one_picture_a_slice")
def test_exports_take_turns(alice: User) -> None:
    bob = UserFactory()
    for owner in (alice, alice, alice, bob):
        ready_media(owner)
    large, small = request(alice), request(bob)
    for _ in range(4):
        worker.process_next()
    assert reload(small).state == JobState.DONE
    assert reload(large).pictures_done == 2


@pytest.mark.usefixtures("directory")
def test_failures_are_retried_and_then_given_up(alice: User, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_original(alice, 5_000)
    export = request(alice)

    def fail(*_: object) -> storage.Part:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(storage.multipart, "put", fail)
        for _ in range(worker.MAX_FAILURES + 1):
            assert work(export) is Outcome.FAILED
            assert reload(export).state == JobState.PENDING
            make_due(Export, export.pk)
    assert work(export) is Outcome.FAILED
    failed = reload(export)
    assert (failed.state, failed.error) == (JobState.DEAD, worker.FAILURE_MESSAGE)
    assert not any((directory / "uploads-in-parts").iterdir())
    assert finish(request(alice)).state == JobState.DONE, "a new one can be requested"


@pytest.mark.usefixtures("directory")
def test_unavailable_storage_is_waited_for(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = kept_original(alice, 5_000)
    export = request(alice)

    def fail(*_: object) -> storage.Part:
        raise storage.StorageError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(storage.multipart, "put", fail)
        for _ in range(worker.MAX_FAILURES + 2):
            assert work(export) is Outcome.POSTPONED
            make_due(Export, export.pk)
    assert read(finish(export)).file_of(picture) == stored(picture.original_path)


@pytest.mark.usefixtures("directory")
def test_export_that_never_ends_is_given_up(alice: User) -> None:
    export = request(alice)
    Export.objects.update(created_at=timezone.now() - worker.MAX_AGE - timedelta(minutes=1))
    work(export)
    assert reload(export).state == JobState.DEAD


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("slices", [1, 9])
def test_erasure_deletes_exports_and_their_files(alice: User, slices: int) -> None:
    kept_original(alice)
    export = request(alice)
    for _ in range(slices):
        work(export)
    tail, upload_id = reload(export).tail_path, reload(export).upload_id
    deletion.delete_account(alice.pk)
    run_erasure()
    assert not Export.objects.exists()
    assert not User.objects.filter(pk=alice.pk).exists()
    delete_due_files()
    assert [storage.size(path) for path in (export.path, tail) if path] == [None] * (2 if tail else 1)
    assert FileDeletion.objects.filter(paths__contains=[export.path]).exists(), "again, for a worker that writes late"
    if upload_id:
        with pytest.raises(storage.StorageError):  # moto: 500 instead of NoSuchUpload
            storage.multipart.put(export.path, upload_id, 1, BytesIO(b"late"))


@pytest.mark.usefixtures("each_backend")
def test_erasure_during_a_slice(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_original(alice, 6 * 2**20)
    export, real_put = request(alice), storage.multipart.put

    def put_late(*arguments: Any) -> storage.Part:
        requests.delete_all(alice.pk)
        return real_put(*arguments)

    monkeypatch.setattr(storage.multipart, "put", put_late)
    assert work(export) in (Outcome.OVERTAKEN, Outcome.POSTPONED, Outcome.FAILED)
    assert not Export.objects.exists()
    assert not ExportSlice.objects.exists()


@pytest.mark.usefixtures("each_backend")
def test_expiry_deletes_the_row_and_the_file(alice: User) -> None:
    export, other = finish(request(alice)), finish(request(UserFactory()))
    in_days = (export.expires_at - timezone.now()) / timedelta(days=1) if export.expires_at else 0
    assert 6.9 < in_days < 7
    expire(export)
    tasks.delete_expired_exports()
    delete_due_files()
    assert not Export.objects.filter(pk=export.pk).exists()
    assert storage.size(export.path) is None
    assert read(reload(other))


@pytest.mark.usefixtures("directory")
def test_expired_exports_do_not_wait_for_one_that_cannot_be_deleted(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = request(alice), finish(request(UserFactory()))
    work(stuck)
    Export.objects.filter(pk=stuck.pk).update(state=JobState.DEAD, upload_id="x", expires_at=timezone.now())
    expire(stuck)
    expire(other)
    monkeypatch.setattr(requests, "DELETE_BATCH_SIZE", 1)
    real_abort = storage.multipart.abort

    def fail(*_: object) -> None:
        raise storage.StorageError("down")

    monkeypatch.setattr(storage.multipart, "abort", fail)
    requests.delete_expired()
    assert list(Export.objects.values_list("pk", flat=True)) == [stuck.pk]
    monkeypatch.setattr(storage.multipart, "abort", real_abort)
    requests.delete_expired()
    assert not Export.objects.exists()


@pytest.mark.usefixtures("directory", "one_picture_a_slice")
def test_finished_export_leaves_one_file(alice: User, directory: Path) -> None:
    for _ in range(3):
        kept_original(alice, 5_000)
    export = finish(request(alice))
    delete_due_files(ahead_of_time=True)
    files = [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]
    assert [path for path in files if not path.startswith(("public/", "incoming/"))] == [export.path]


@pytest.mark.usefixtures("bucket", "one_picture_a_slice")
def test_finished_export_leaves_one_object(alice: User, s3: Any) -> None:
    def list_paths() -> set[str]:
        return {found["Key"] for found in s3.list_objects_v2(Bucket="media", Prefix="exports/").get("Contents", [])}

    for _ in range(3):
        kept_original(alice, 2 * 2**20)
    before = list_paths()
    export = finish(request(alice))
    assert len(list_paths() - before) > 1, "tails"
    delete_due_files(ahead_of_time=True)
    assert list_paths() - before == {export.path}
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="media", Prefix=export.path)
