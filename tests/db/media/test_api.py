"""The API of media: uploads, validation, access and deletion."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NoReturn

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from media import storage
from media.models import FileDeletion, Media, Status
from media.variants import possible_paths
from tests.db.media.lifecycle import process
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.pictures import expected_paths, jpeg, ready_media

pytestmark = [pytest.mark.django_db, pytest.mark.urls("instafeed.urls")]

REFUSED = {
    "empty": b"",
    "html": b"<!doctype html><script>alert(1)</script>",
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "pdf": b"%PDF-1.7\n",
    "text": b"GIF but not really",
    "zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.fixture
def owner() -> ApiUser:
    return ApiUser()


@pytest.fixture
def stranger() -> ApiUser:
    return ApiUser()


def upload(caller: ApiUser, content: bytes, name: str = "a.jpg", **fields: Any) -> Any:
    form = {"file": SimpleUploadedFile(name, content, "image/jpeg"), **fields}
    return caller.client.post("/api/v1/media", form, headers=caller.headers)


def begin_upload(caller: ApiUser, size: int, content_type: str = "image/jpeg", **more: Any) -> Any:
    body = {"filename": "IMG 1.jpg", "content_type": content_type, "size": size} | more
    return caller.call("post", "/media/uploads", body)


def send_form(caller: ApiUser, form: dict[str, Any], content: bytes) -> Any:
    """Send the form of a direct upload, as a client does."""
    return caller.client.post(form["url"], form["fields"] | {"file": SimpleUploadedFile("a", content, "image/jpeg")})


def test_upload_is_processed_and_visible_only_to_its_owner(owner: ApiUser, stranger: ApiUser) -> None:
    answer = upload(owner, jpeg(), alt_text="a teal field")
    assert answer.status_code == 202
    taken = answer.json()
    assert (taken["status"], taken["url"], taken["variants"], taken["alt_text"]) == (
        "processing",
        None,
        {},
        "a teal field",
    )
    process(int(taken["id"]))
    media = owner.get(f"/media/{taken['id']}")
    assert (media["status"], media["error"], media["width"], media["height"]) == ("ready", None, 60, 40)
    assert set(media["variants"]) == {"150", "320", "640", "1080"}
    assert media["url"] == media["variants"]["1080"]["url"]
    assert media["blurhash"]
    assert stranger.call("get", f"/media/{taken['id']}").status_code == 404


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_non_pictures_are_refused_and_leave_nothing(owner: ApiUser, content: bytes) -> None:
    answer = upload(owner, content)
    assert_error(answer, 400)
    assert answer.json()["errors"][0]["attr"] == "file"
    assert not Media.objects.exists()


def test_file_name_and_declared_type_are_ignored(owner: ApiUser) -> None:
    taken = upload(owner, jpeg(), name="../../evil.svg").json()
    process(int(taken["id"]))
    assert owner.get(f"/media/{taken['id']}")["status"] == "ready"


def test_undecodable_picture_fails_with_a_reason_for_the_owner(owner: ApiUser) -> None:
    taken = upload(owner, jpeg()[:300]).json()
    process(int(taken["id"]))
    media = owner.get(f"/media/{taken['id']}")
    assert media["status"] == "failed"
    assert media["error"]
    assert "Traceback" not in media["error"]


def test_too_large_file_is_refused_with_413(owner: ApiUser, settings: Settings) -> None:
    settings.MEDIA_MAX_BYTES = 10_000
    assert_error(upload(owner, jpeg() + b"x" * 10_000), 413)
    assert_error(upload(owner, jpeg() + b"x" * 200_000), 413)
    assert upload(owner, jpeg()).status_code == 202


@pytest.mark.parametrize(
    ("form", "status"),
    [({}, 400), ({"file": "no file"}, 400), ({"file": BytesIO(b""), "alt_text": "x" * 1_001}, 400)],
)
def test_forms_without_a_usable_file_are_refused(owner: ApiUser, form: dict[str, Any], status: int) -> None:
    assert_error(owner.client.post("/api/v1/media", form, headers=owner.headers), status)


def test_json_and_anonymous_uploads_are_refused(owner: ApiUser) -> None:
    assert_error(owner.call("post", "/media", {"file": "x"}), 415)
    assert_error(owner.client.post("/api/v1/media", {"file": BytesIO(jpeg())}), 401)


def test_unavailable_storage_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = ApiUser(Client(raise_request_exception=False))

    def unavailable(*_: Any) -> None:
        raise storage.StorageError("unavailable")

    monkeypatch.setattr(storage, "save", unavailable)
    assert_error(upload(owner, jpeg()), 503)


# --- Direct uploads ----------------------------------------------------------------------------------


def test_direct_upload_from_form_to_ready(owner: ApiUser, stranger: ApiUser) -> None:
    content = jpeg()
    answer = begin_upload(owner, len(content), alt_text="a field")
    assert answer.status_code == 201
    id_, form = answer.json()["id"], answer.json()["upload"]
    assert owner.get(f"/media/{id_}")["status"] == "uploading"
    assert_error(owner.call("post", f"/media/{id_}/complete"), 409)
    assert send_form(owner, form, content).status_code in (200, 201, 204)
    assert_error(stranger.call("post", f"/media/{id_}/complete"), 404)
    for _ in range(2):
        answer = owner.call("post", f"/media/{id_}/complete")
        assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    process(int(id_))
    assert owner.get(f"/media/{id_}")["status"] == "ready"
    assert owner.call("post", f"/media/{id_}/complete").json()["status"] == "ready"
    assert owner.get(f"/media/{id_}")["alt_text"] == "a field"


def test_complete_reads_only_the_start_of_the_file(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole_file(path: str) -> NoReturn:
        raise AssertionError("20 MB are transferred to look at 256 bytes")

    content = jpeg()
    answer = begin_upload(owner, len(content)).json()
    send_form(owner, answer["upload"], content)
    monkeypatch.setattr(storage, "open", whole_file)
    assert owner.call("post", f"/media/{answer['id']}/complete").status_code == 202


def test_jpg_is_another_name_of_jpeg(owner: ApiUser) -> None:
    content = jpeg()
    answer = begin_upload(owner, len(content), content_type="image/jpg")
    assert answer.status_code == 201
    form = answer.json()["upload"]
    assert form["fields"]["Content-Type"] == "image/jpeg"
    assert send_form(owner, form, content).status_code in (200, 201, 204)
    assert owner.call("post", f"/media/{answer.json()['id']}/complete").status_code == 202


def test_content_of_a_direct_upload_is_checked(owner: ApiUser) -> None:
    html = REFUSED["html"]
    answer = begin_upload(owner, len(html)).json()
    send_form(owner, answer["upload"], html)
    assert_error(owner.call("post", f"/media/{answer['id']}/complete"), 400)
    assert owner.get(f"/media/{answer['id']}")["status"] == "failed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": -1},
        {"size": 10**9},
        {"size": "many"},
        {"content_type": "text/html"},
        {"content_type": "image/svg+xml"},
        {"filename": ""},
        {"filename": None},
    ],
    ids=str,
)
def test_invalid_direct_uploads_are_refused(owner: ApiUser, wrong: dict[str, Any]) -> None:
    assert_error(begin_upload(owner, **({"size": 10} | wrong)), 400)
    assert not Media.objects.exists()


# --- Alt text ----------------------------------------------------------------------------------------


def test_alt_text_can_be_changed_also_in_a_post(owner: ApiUser, stranger: ApiUser) -> None:
    media = ready_media(owner.user)
    path = f"/media/{media.pk}"
    changed = owner.call("patch", path, {"alt_text": "  a harbour \U0001f6a2"})
    assert (changed.status_code, changed.json()) == (200, owner.get(path))
    post = owner.call("post", "/posts", {"media": [str(media.pk)]}).json()["id"]

    def shown() -> str:
        return str(stranger.get(f"/posts/{post}")["media"][0]["alt_text"])

    assert shown() == "  a harbour \U0001f6a2"
    assert owner.call("patch", path, {"alt_text": ""}).status_code == 200
    assert shown() == "", "the cached post is forgotten"


@pytest.mark.parametrize("value", [None, 1, ["a"], "x" * 1001, "\0"])
def test_invalid_alt_texts_are_refused(owner: ApiUser, value: object) -> None:
    body = {"alt_text": value}
    assert_error(owner.call("patch", f"/media/{ready_media(owner.user).pk}", body), 400)


def test_a_change_without_an_alt_text_changes_nothing(owner: ApiUser) -> None:
    media = ready_media(owner.user, alt_text="a harbour")
    answer = owner.call("patch", f"/media/{media.pk}", {})
    assert (answer.status_code, answer.json()["alt_text"]) == (200, "a harbour")


def test_only_the_owner_changes_an_alt_text(owner: ApiUser, stranger: ApiUser) -> None:
    media = ready_media(owner.user)
    for missing in (media.pk, 2**62, "x"):
        assert_error(stranger.call("patch", f"/media/{missing}", {"alt_text": "mine"}), 404)
    media.refresh_from_db()
    assert media.alt_text == ""


# --- Deletion ----------------------------------------------------------------------------------------


def test_delete_removes_files_unless_the_picture_is_in_a_post(owner: ApiUser, stranger: ApiUser) -> None:
    one, other = ready_media(owner.user), ready_media(owner.user)
    assert owner.call("post", "/posts", {"media": [str(other.pk)]}).status_code == 201
    assert_error(stranger.call("delete", f"/media/{one.pk}"), 404)
    assert_error(owner.call("delete", f"/media/{other.pk}"), 409)
    assert owner.call("delete", f"/media/{one.pk}").status_code == 204
    assert_error(owner.call("delete", f"/media/{one.pk}"), 404)
    (removal,) = FileDeletion.objects.all()
    assert set(expected_paths(one)) <= set(removal.paths)
    assert removal.public_key == one.key
    assert all(default_storage.exists(path) for path in expected_paths(other))


def test_delete_while_processing(owner: ApiUser) -> None:
    taken = upload(owner, jpeg()).json()
    media = Media.objects.get(pk=taken["id"])
    assert owner.call("delete", f"/media/{media.pk}").status_code == 204
    process(media.pk)
    assert not Media.objects.filter(status=Status.READY).exists()
    assert FileDeletion.objects.earliest("due_at").paths == [media.original_path, *possible_paths(media)]


def test_only_one_file_per_request(owner: ApiUser) -> None:
    files = [SimpleUploadedFile(f"{number}.jpg", jpeg(), "image/jpeg") for number in range(2)]
    assert_error(owner.client.post("/api/v1/media", {"file": files}, headers=owner.headers), 400)
    assert_error(owner.client.post("/api/v1/media", {"file": files[0], "more": files[1]}, headers=owner.headers), 400)


def test_withheld_picture_cannot_be_an_avatar(owner: ApiUser) -> None:
    media = ready_media(owner.user, is_withheld=True)
    assert_error(owner.call("patch", "/me", {"avatar": str(media.pk)}), 404)


def test_reads_are_503_when_the_storage_cannot_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ApiUser(Client(raise_request_exception=False), is_private=True)
    assert (
        reader.call("post", "/posts", {"media": [str(ready_media(reader.user, is_public=False).pk)]}).status_code == 201
    )

    def unavailable(card: bytes) -> bytes:
        raise storage.StorageError("no credentials")

    monkeypatch.setattr(storage, "sign_placeholders", unavailable)
    for path in ("/feed", f"/users/{reader.username}/posts"):
        assert_error(reader.call("get", path), 503)
