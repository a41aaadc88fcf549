"""What failures leave in the storage, on S3 over HTTP and on a local directory: nothing but the finished file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from instafeed.core.jobs.leased import Outcome
from instafeed.exports import worker
from instafeed.exports.models import Export
from media import storage
from media.models import Media, Status
from media.storage.local.filesystem import FileStorage
from tests.db.exports.lifecycle import finish, kept_original, read, reload, request, stored, work
from tests.support.factories import UserFactory
from tests.support.leased_jobs import make_due
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice")


def files_in(directory: Path) -> list[str]:
    """Return the files and empty directories of exports and temporary files."""
    paths = [path.relative_to(directory) for path in directory.rglob("*") if path.is_file() or not any(path.iterdir())]
    return [str(path) for path in paths if path.parts[0] in ("exports", "tmp", "uploads-in-parts") and path.parts[1:]]


@pytest.mark.usefixtures("bucket")
def test_upload_that_is_given_up_is_aborted(alice: User, s3: Any) -> None:
    """A late worker has replaced a part, so the export begins again. S3 would bill the other parts for ever."""
    kept_original(alice, 6 * 2**20)
    export = request(alice)
    work(export)
    first_upload = reload(export).upload_id
    storage.multipart.put(export.path, first_upload, 1, BytesIO(b"late" * 2 * 2**20))
    export = finish(export)
    assert read(export)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="media", Prefix=export.path)


@pytest.mark.usefixtures("directory")
def test_directory_of_an_upload_that_is_given_up_is_deleted(alice: User, directory: Path) -> None:
    pictures = [kept_original(alice, 9 * 2**20) for _ in range(2)]
    export = request(alice)
    for _ in pictures:
        work(export)
    next((directory / "uploads-in-parts" / reload(export).upload_id).iterdir()).unlink()
    export = finish(export)
    assert [read(export).file_of(media) for media in pictures] == [stored(media.original_path) for media in pictures]
    assert files_in(directory) == [export.path]


@pytest.mark.usefixtures("each_backend")
def test_overtaken_worker_does_not_abort_the_upload_of_the_next(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part is refused when another worker has the export."""
    picture, real_put = kept_original(alice, 6 * 2**20), storage.multipart.put
    export = request(alice)

    def refuse_late(*_: object) -> storage.Part:
        monkeypatch.setattr(storage.multipart, "put", real_put)
        make_due(Export, export.pk)
        assert work(export) is Outcome.CONTINUED
        raise storage.UploadLost(export.path)

    monkeypatch.setattr(storage.multipart, "put", refuse_late)
    assert work(export) is Outcome.OVERTAKEN
    assert work(export) is Outcome.FINISHED, "the part of the other worker is still there"
    assert read(reload(export)).file_of(picture) == stored(picture.original_path)


@pytest.mark.usefixtures("directory")
def test_parts_that_a_killed_completion_has_left_are_deleted(
    alice: User, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_original(alice, 5_000)
    export = request(alice)
    work(export)

    def kill(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(FileStorage, "abort_parts", kill)
        with pytest.raises(SystemExit):
            work(export)
    make_due(Export, export.pk)
    export = finish(export)
    assert files_in(directory) == [export.path]


@pytest.mark.usefixtures("directory")
def test_part_that_does_not_fit_on_the_disk_leaves_nothing(directory: Path) -> None:
    path = storage.new_export_path("zip")
    upload_id = storage.multipart.begin(path)

    class FullDisk(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("No space left on device")
            return super().read(10)

    with pytest.raises(storage.StorageError):
        storage.multipart.put(path, upload_id, 1, FullDisk(b"x" * 100))
    assert files_in(directory) == [f"uploads-in-parts/{upload_id}"]
    storage.multipart.put(path, upload_id, 1, BytesIO(b"x"))
    (part,) = (directory / "uploads-in-parts" / upload_id).iterdir()
    assert part.stat().st_mode & 0o077 == 0, "other users of this machine cannot read it"
    storage.multipart.abort(path, upload_id)
    with pytest.raises(storage.UploadLost):
        storage.multipart.put(path, upload_id, 2, BytesIO(b"late"))
    assert files_in(directory) == []


@pytest.mark.usefixtures("bucket")
def test_lost_tail_is_made_again(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.0)
    pictures = [kept_original(alice, 5_000) for _ in range(2)]
    export = request(alice)
    work(export)
    storage.delete([reload(export).tail_path])
    assert work(export) is Outcome.FAILED
    make_due(Export, export.pk)
    archive = read(finish(export))
    assert [archive.file_of(media) for media in pictures] == [stored(media.original_path) for media in pictures]


@pytest.mark.usefixtures("directory")
def test_progress_stays_below_100_if_uploads_end_meanwhile(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.0)
    ready_media(alice)
    late = [ready_media(alice, status=Status.UPLOADING) for _ in range(3)]
    export = request(alice)
    work(export)
    Media.objects.filter(pk__in=[media.pk for media in late]).update(status=Status.READY)
    seen = []
    while work(export) is Outcome.CONTINUED:
        seen.append(reload(export).progress)
    assert seen == sorted(seen)
    assert seen[-1] == 99
    assert len(read(reload(export)).names) == 5
