"""Both storage backends: the same tests on S3 over HTTP and on a local directory."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from django.core.files.base import ContentFile

from media import storage
from tests.db.media.storage.conftest import UseStorage


@pytest.fixture(params=["bucket", "directory"])
def each_backend(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


def save_file(kind: str = "public", content: bytes = b"picture", name: str = "1080.webp") -> str:
    path = f"{kind}/{storage.new_key()}/{name}"
    storage.save(path, BytesIO(content), "image/webp")
    return path


def test_keys_are_long_and_unique() -> None:
    keys = {storage.new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert {len(key) for key in keys} == {32}


@pytest.mark.usefixtures("each_backend")
def test_saved_file_can_be_read_and_measured() -> None:
    path = save_file(content=b"x" * 300_000)
    with storage.open(path) as file:
        assert file.read(3) == b"xxx"
        file.seek(0)
        assert len(file.read()) == 300_000
    assert storage.size(path) == 300_000


@pytest.mark.usefixtures("each_backend")
def test_start_of_a_file() -> None:
    assert storage.read_start(save_file(content=b"abc" * 100_000), 4) == b"abca"
    assert storage.read_start(save_file(content=b"ab"), 4) == b"ab"
    assert storage.read_start(save_file(content=b""), 4) == b""
    with pytest.raises(storage.FileMissing):
        storage.read_start(f"incoming/{storage.new_key()}", 4)


@pytest.mark.usefixtures("bucket")
def test_start_of_a_file_is_read_without_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    path, send, lengths = save_file(content=b"x" * 300_000), URLLib3Session.send, list[str]()

    def measured(self: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        response = send(self, request)
        lengths.append(response.headers["Content-Length"])
        return response

    monkeypatch.setattr(URLLib3Session, "send", measured)
    storage.read_start(path, 256)
    assert lengths == ["256"]


@pytest.mark.usefixtures("each_backend")
def test_save_replaces_the_file_and_reads_from_the_start() -> None:
    path = save_file(content=b"a longer one")
    file = ContentFile(b"new")
    file.read()
    storage.save(path, file, "image/webp")
    with storage.open(path) as found:
        assert found.read() == b"new"
    assert not file.closed


@pytest.mark.usefixtures("each_backend")
def test_missing_file() -> None:
    path = f"public/{storage.new_key()}/150.webp"
    assert storage.size(path) is None
    storage.delete([path])
    with pytest.raises(storage.FileMissing), storage.open(path):
        pass
    with pytest.raises(storage.FileMissing):
        storage.copy(path, f"private/{storage.new_key()}/150.webp")


@pytest.mark.usefixtures("each_backend")
def test_copy_keeps_the_source() -> None:
    path = save_file()
    target = f"private/{storage.new_key()}/1080.webp"
    storage.copy(path, target)
    with storage.open(path) as source, storage.open(target) as copied:
        assert source.read() == copied.read() == b"picture"


@pytest.mark.usefixtures("each_backend")
def test_delete_spares_other_files() -> None:
    gone, kept = [save_file() for _ in range(3)], save_file()
    other_variant = kept.replace("1080", "640")
    storage.save(other_variant, BytesIO(b"small"), "image/webp")
    storage.delete([*gone, gone[0], other_variant])
    assert [storage.size(path) for path in (*gone, other_variant, kept)] == [None, None, None, None, 7]


@pytest.mark.usefixtures("each_backend")
def test_exceptions_of_the_callers_block_pass_through() -> None:
    with pytest.raises(FileNotFoundError), storage.open(save_file()):
        raise FileNotFoundError("raised by the caller")


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "public/short/1080.webp",
        "public/{key}",
        "public/{key}/",
        "public/{key}/..",
        "public/{key}/../1080.webp",
        "public/../private/{key}/1080.webp",
        "/public/{key}/1080.webp",
        "public//{key}/1080.webp",
        "public/{key}/1080.svg",
        "public/{key}/1080.html",
        "public/{key}/a.html.webp",
        "public/{key}/.webp",
        "public/{key}/1080.webp\n",
        'public/{key}/".webp',
        "public/{key}/a\\b.webp",
        "avatars/{key}",
        "incoming/{key}/1080.webp",
        "incoming/${{filename}}",
        "demo/{key}/1080.webp",
    ],
)
def test_paths_outside_the_layout_are_refused(path: str) -> None:
    path = path.format(key=storage.new_key())
    good = f"public/{storage.new_key()}/1080.webp"
    for call in (
        lambda: storage.url(path),
        lambda: storage.url_or_placeholder(path),
        lambda: storage.save(path, BytesIO(b""), "image/webp"),
        lambda: storage.open(path),
        lambda: storage.size(path),
        lambda: storage.read_start(path, 1),
        lambda: storage.copy(path, good),
        lambda: storage.copy(good, path),
        lambda: storage.delete([good, path]),
        lambda: storage.direct_upload(path, "image/webp", 1),
    ):
        with pytest.raises(ValueError, match="layout"):
            call()


def test_originals_have_no_url_and_are_only_uploaded() -> None:
    original = f"incoming/{storage.new_key()}"
    variant = f"public/{storage.new_key()}/1080.webp"
    for call in (
        lambda: storage.url(original),
        lambda: storage.url_or_placeholder(original),
        lambda: storage.copy(variant, original),
        lambda: storage.direct_upload(variant, "image/webp", 1),
    ):
        with pytest.raises(ValueError, match="originals"):
            call()


def test_s3_objects_have_content_type_and_cache_control(bucket: str, s3: Any) -> None:
    paths = {
        save_file("public"): "public, max-age=31536000, immutable",
        save_file("private"): "private, max-age=3600",
    }
    avatar, original = f"avatars/{storage.new_key()}.webp", f"incoming/{storage.new_key()}"
    for path, content_type in ((avatar, "image/webp"), (original, "image/heic")):
        storage.save(path, BytesIO(b"x"), content_type)
    paths |= {avatar: "public, max-age=31536000, immutable", original: "no-store"}
    for path, cached in paths.items():
        head = s3.head_object(Bucket=bucket, Key=path)
        assert head["CacheControl"] == cached
        assert head["ContentType"] == ("image/heic" if path == original else "image/webp")


def test_s3_copy_gets_the_cache_control_of_its_own_path(bucket: str, s3: Any) -> None:
    """Otherwise browsers would cache a private picture for a year."""
    target = f"private/{storage.new_key()}/1080.jpeg"
    storage.copy(save_file("public", name="1080.jpeg"), target)
    head = s3.head_object(Bucket=bucket, Key=target)
    assert (head["CacheControl"], head["ContentType"]) == ("private, max-age=3600", "image/jpeg")


@pytest.mark.usefixtures("bucket")
def test_s3_deletes_more_objects_than_one_call_takes() -> None:
    path = save_file()
    storage.delete([*(f"incoming/{storage.new_key()}" for _ in range(1000)), path])
    assert storage.size(path) is None


def every_call() -> dict[str, Any]:
    path = f"public/{storage.new_key()}/1080.webp"
    other = f"private/{storage.new_key()}/1080.webp"

    def opened() -> None:
        with storage.open(path):
            pass

    return {
        "save": lambda: storage.save(path, BytesIO(b"x"), "image/webp"),
        "open": opened,
        "size": lambda: storage.size(path),
        "read_start": lambda: storage.read_start(path, 1),
        "copy": lambda: storage.copy(path, other),
        "delete": lambda: storage.delete([path]),
    }


@pytest.mark.parametrize("name", every_call())
def test_unavailable_s3_is_a_storage_error_after_two_attempts(
    name: str, use_bucket: UseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, attempts = URLLib3Session.send, list[str]()

    def counted(self: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        attempts.append(request.url)
        return send(self, request)

    monkeypatch.setattr(URLLib3Session, "send", counted)
    use_bucket(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(storage.StorageError):
        every_call()[name]()
    assert len(attempts) == 2, "requests wait for it"


@pytest.mark.parametrize("name", sorted(every_call().keys() - {"size"}))  # HEAD has no body that tells them apart
def test_missing_bucket_is_not_a_missing_file(name: str, s3_endpoint: str, use_bucket: UseStorage) -> None:
    use_bucket(bucket_name="missing", endpoint_url=s3_endpoint)
    with pytest.raises(storage.StorageError) as caught:
        every_call()[name]()
    assert not isinstance(caught.value, storage.FileMissing)


def test_missing_credentials_are_a_storage_error(use_bucket: UseStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    use_bucket()
    with pytest.raises(storage.StorageError, match="NoCredentials"):
        storage.signed_urls(storage.new_key(), ["1080.webp"])


def test_unwritable_directory_is_a_storage_error(directory: Path) -> None:
    (directory / "public").write_text("in the way")
    with pytest.raises(storage.StorageError):
        save_file()


def test_failed_save_keeps_the_old_file(directory: Path) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("half way")
            return super().read(2)

    path = save_file(content=b"before")
    with pytest.raises(storage.StorageError):
        storage.save(path, Broken(b"after"), "image/webp")
    assert [(file.name, file.read_bytes()) for file in (directory / path).parent.iterdir()] == [
        ("1080.webp", b"before")
    ]
    storage.delete([path])
    assert set(directory.rglob("*")) == {directory / "public", directory / "tmp"}
