"""Direct uploads: the same form for clients, whether S3 or the app of the embedded stack receives it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from media import storage
from media.storage.local import signatures, upload_view
from tests.support.client_response import ClientResponse

CONTENT = b"an original, as it comes"
TYPE = "image/heic"


def make_form(size: int = len(CONTENT)) -> storage.Upload:
    return storage.direct_upload(f"incoming/{storage.new_key()}", TYPE, size)


# --- S3 ----------------------------------------------------------------------------------------------


def policy_of(upload: storage.Upload) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.b64decode(upload.fields["policy"]))
    return decoded


def s3_would_accept(upload: storage.Upload, fields: dict[str, str], content: bytes) -> bool:
    """Check the policy as S3 documents it: every condition must hold, and every field must be named in one."""
    named = {"policy", "x-amz-signature"}
    for condition in policy_of(upload)["conditions"]:
        match condition:
            case ["content-length-range", least, most]:
                if not least <= len(content) <= most:
                    return False
            case dict():
                ((name, value),) = condition.items()
                named.add(name)
                if name != "bucket" and fields.get(name) != value:
                    return False
            case _:
                raise AssertionError(f"a condition without exact values: {condition}")
    return named >= fields.keys()


@pytest.mark.usefixtures("bucket")
def test_s3_accepts_the_form_twice_and_stores_the_type(bucket: str, s3: Any) -> None:
    upload = make_form()
    for _ in range(2):
        answer = httpx.request(
            upload.method, upload.url, data=upload.fields, files={"file": ("a.heic", CONTENT)}, timeout=60
        )
        assert answer.status_code == 204
    head = s3.head_object(Bucket=bucket, Key=upload.fields["key"])
    assert (head["ContentLength"], head["ContentType"]) == (len(CONTENT), TYPE)
    with storage.open(upload.fields["key"]) as file:
        assert file.read() == CONTENT


@pytest.mark.usefixtures("bucket")
def test_s3_form_pins_key_type_and_size_and_expires() -> None:
    """moto checks neither the policy nor its signature, so this test applies the conditions itself."""
    began = datetime.now(UTC).replace(microsecond=0)
    upload = make_form()
    assert s3_would_accept(upload, upload.fields, CONTENT)
    assert not s3_would_accept(upload, upload.fields, CONTENT + b"x")
    assert not s3_would_accept(upload, upload.fields, CONTENT[1:])
    assert not s3_would_accept(upload, {**upload.fields, "Content-Type": "text/html"}, CONTENT)
    assert not s3_would_accept(upload, {**upload.fields, "key": f"public/{storage.new_key()}/1080.webp"}, CONTENT)
    assert not s3_would_accept(upload, {**upload.fields, "acl": "public-read"}, CONTENT)
    ends = datetime.fromisoformat(policy_of(upload)["expiration"])
    assert began <= ends - timedelta(minutes=15) <= datetime.now(UTC)


# --- The app's own views, as in the embedded stack ---------------------------------------------------


@pytest.fixture
def app(directory: Path) -> Client:
    return Client(enforce_csrf_checks=True)


def send(app: Client, upload: storage.Upload, content: bytes = CONTENT, **fields: Any) -> ClientResponse:
    form = {**upload.fields, "file": SimpleUploadedFile("a.heic", content, "text/html"), **fields}
    wanted = {name: value for name, value in form.items() if value is not None}
    body = encode_multipart(BOUNDARY, wanted)
    return app.generic(upload.method, upload.url, body, MULTIPART_CONTENT)


def stored_files(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def assert_refused(answer: ClientResponse, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/json"
    error = json.loads(answer.content)
    assert error["type"] == ("server_error" if status >= 500 else "client_error")
    assert [(one["code"], one["attr"]) for one in error["errors"]] == [(code, None)]


local_views = pytest.mark.urls("tests.db.media.storage.urls")


@local_views
def test_app_accepts_the_form_twice(app: Client, directory: Path) -> None:
    upload = make_form()
    for _ in range(2):
        answer = send(app, upload)
        assert (answer.status_code, answer.content) == (204, b"")
    assert stored_files(directory) == {upload.fields["key"]: CONTENT}
    assert not answer.cookies


@local_views
@pytest.mark.parametrize(
    ("content", "fields", "status", "code"),
    [
        (CONTENT[1:], {}, 400, "invalid"),
        (CONTENT + b"x", {}, 413, "request_too_large"),
        (CONTENT + bytes(100_000), {}, 413, "request_too_large"),
        (b"", {}, 400, "invalid"),
        (CONTENT, {"Content-Type": "image/png"}, 403, "permission_denied"),
        (CONTENT, {"Content-Type": None}, 403, "permission_denied"),
        (CONTENT, {"key": f"incoming/{'x' * 32}"}, 403, "permission_denied"),
        (CONTENT, {"key": None}, 403, "permission_denied"),
        (CONTENT, {"key": f"public/{'x' * 32}/1080.webp"}, 403, "permission_denied"),
        (CONTENT, {"file": None}, 400, "invalid"),
        (CONTENT, {"file": "no file"}, 400, "invalid"),
        (CONTENT, {"other": SimpleUploadedFile("b.heic", CONTENT)}, 400, "invalid"),
        (CONTENT, {"file": [SimpleUploadedFile("a", CONTENT), SimpleUploadedFile("b", CONTENT)]}, 400, "invalid"),
    ],
    ids=[
        "short",
        "long",
        "very long",
        "empty",
        "another type",
        "no type",
        "another key",
        "no key",
        "a public key",
        "no file",
        "text",
        "two fields",
        "two files",
    ],
)
def test_app_refuses_changed_forms(
    app: Client, directory: Path, content: bytes, fields: dict[str, Any], status: int, code: str
) -> None:
    assert_refused(send(app, make_form(), content, **fields), status, code)
    assert stored_files(directory) == {}


@local_views
def test_app_refuses_invalid_and_expired_policies(
    app: Client, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = make_form()
    base = upload.url.partition("?")[0]
    link = signatures.signed_query(storage.new_key(), 2**40)
    for query in ("", "policy=", "policy=x:y:z", upload.url.partition("?")[2][:-1], link, f"policy={link[-43:]}"):
        assert_refused(send(app, storage.Upload("POST", f"{base}?{query}", upload.fields)), 403, "permission_denied")
    monkeypatch.setattr(signatures, "UPLOAD_TTL", -1)
    assert_refused(send(app, upload), 403, "permission_denied")
    assert stored_files(directory) == {}


@local_views
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' * 120),
    ],
)
def test_app_refuses_malformed_forms(app: Client, directory: Path, content_type: str, body: bytes) -> None:
    answer = app.generic("POST", make_form().url, body, content_type)
    assert 400 <= answer.status_code < 500
    assert json.loads(answer.content)["type"] == "client_error"
    assert stored_files(directory) == {}


@local_views
def test_app_accepts_only_post(app: Client, directory: Path) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = app.generic(method, make_form().url)
        assert_refused(answer, 405, "method_not_allowed")
        assert answer["Allow"] == "POST"


@local_views
def test_policy_is_checked_before_the_body_is_read(app: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(upload_view, "MultiPartParser", read)
    upload = make_form()
    assert_refused(send(app, upload, bytes(1_000_000)), 413, "request_too_large")
    assert_refused(send(app, storage.Upload("POST", "/files/upload?policy=x", {})), 403, "permission_denied")


@local_views
def test_large_file_is_streamed(app: Client, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryFileUploadHandler, "new_file", None)
    chunks: list[int] = []
    write = upload_view.SingleFileHandler.receive_data_chunk

    def watched(self: upload_view.SingleFileHandler, raw_data: bytes, start: int) -> None:
        chunks.append(len(raw_data))
        write(self, raw_data, start)

    monkeypatch.setattr(upload_view.SingleFileHandler, "receive_data_chunk", watched)
    content = bytes(2_000_000)
    upload = make_form(len(content))
    assert send(app, upload, content).status_code == 204
    assert stored_files(directory) == {upload.fields["key"]: content}
    assert max(chunks) <= 64 * 1024


@local_views
def test_full_disk_is_a_503(app: Client, directory: Path) -> None:
    (directory / "incoming").write_text("in the way")
    answer = send(app, make_form())
    assert_refused(answer, 503, "service_unavailable")
    assert answer["Retry-After"]
