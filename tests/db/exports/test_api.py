"""POST and GET /me/exports, and the download."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zipfile import ZipFile

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from instafeed.core.jobs.leased import JobState
from instafeed.exports import worker
from instafeed.exports.models import Export
from media.storage.local import signatures
from tests.db.exports.lifecycle import expire, finish, kept_original, work
from tests.db.media.storage.conftest import UseStorage
from tests.db.media.storage.sigv4 import is_valid_presigned_url
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> ApiUser:
    return ApiUser(username="alice")


def post(user: ApiUser) -> dict[str, Any]:
    response = user.call("post", "/me/exports")
    assert response.status_code == 202, response.content
    body: dict[str, Any] = response.json()
    return body


def row(body: dict[str, Any]) -> Export:
    return Export.objects.get(pk=body["id"])


def download(url: str, **headers: str) -> tuple[int, bytes]:
    response = Client().get(url, headers=headers)
    return response.status_code, b"".join(response)


@pytest.mark.usefixtures("directory", "served_files")
def test_from_the_request_to_the_download(alice: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SLICE_SECONDS", 0.0)
    pictures = [ready_media(alice.user) for _ in range(2)]
    queued = post(alice)
    assert {**queued, "id": "", "created_at": ""} == {
        "id": "",
        "status": "queued",
        "progress": 0,
        "url": None,
        "size": None,
        "error": None,
        "created_at": "",
        "expires_at": None,
    }
    work(row(queued))
    running = alice.get(f"/me/exports/{queued['id']}")
    assert (running["status"], running["progress"], running["url"]) == ("running", 33, None)
    export = finish(row(queued))
    ready = alice.get(f"/me/exports/{queued['id']}")
    assert (ready["status"], ready["progress"], ready["size"]) == ("ready", 100, export.size)
    assert datetime.fromisoformat(ready["expires_at"]) == export.expires_at
    response = Client().get(ready["url"])  # without a token
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Disposition"] == f'attachment; filename="instafeed-export-{timezone.now():%Y-%m-%d}.zip"'
    assert response["Cache-Control"] == "private, no-store"
    content = b"".join(response)
    assert len(content) == export.size
    with ZipFile(io.BytesIO(content)) as found:
        data = json.loads(found.read("export.json"))
        assert [found.read(row["file"]) for row in data["files"]] == [b"1080.webp"] * len(pictures)
    assert download(ready["url"], Range="bytes=4-") == (206, content[4:]), "an interrupted download continues"


def test_one_export_at_a_time(alice: ApiUser) -> None:
    first, bobs = post(alice), post(ApiUser())
    assert post(alice) == first
    assert bobs["id"] != first["id"]
    finish(row(first))
    assert post(alice)["id"] != first["id"]
    assert [export["id"] for export in alice.list_all("/me/exports", limit=1)] == [
        str(pk) for pk in Export.objects.filter(user=alice.id).order_by("-pk").values_list("pk", flat=True)
    ]


def test_exports_of_others_do_not_exist(alice: ApiUser) -> None:
    export, bob = post(alice), ApiUser()
    missing = bob.call("get", "/me/exports/1")
    others = bob.call("get", f"/me/exports/{export['id']}")
    assert_error(others, 404, "not_found")
    assert others.content == missing.content
    assert bob.get("/me/exports")["results"] == []
    for path in ("/me/exports", f"/me/exports/{export['id']}"):
        assert_error(Client().get(f"/api/v1{path}"), 401)
    assert_error(Client().post("/api/v1/me/exports"), 401)


def test_failed_export_says_so(alice: ApiUser) -> None:
    export = post(alice)
    Export.objects.filter(pk=export["id"]).update(error="OSError('/secret/path')")
    assert alice.get(f"/me/exports/{export['id']}")["error"] is None, "a retry is no failure"
    Export.objects.update(attempts=worker.MAX_FAILURES + 1)
    work(row(export))
    failed = alice.get(f"/me/exports/{export['id']}")
    assert (failed["status"], failed["error"], failed["url"]) == ("failed", worker.FAILURE_MESSAGE, None)
    assert post(alice)["status"] == "queued"


@pytest.mark.usefixtures("directory", "served_files")
def test_url_is_dead_at_the_expiry(alice: ApiUser, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link ends by itself: no job needs to have deleted the file."""
    export = finish(row(post(alice)))
    ends = timezone.now() + timedelta(seconds=600)
    Export.objects.update(expires_at=ends)
    assert settings.MEDIA_URL_TTL > 600
    url = alice.get(f"/me/exports/{export.pk}")["url"]
    assert download(url)[0] == 200
    for moment, status in ((ends.timestamp() - 2, 200), (ends.timestamp(), 403)):

        class Clock:
            now = moment

            def time(self) -> float:
                return self.now

        monkeypatch.setattr(signatures, "time", Clock())
        assert download(url)[0] == status
    expire(export)
    assert_error(alice.call("get", f"/me/exports/{export.pk}"), 404)
    assert alice.get("/me/exports")["results"] == []


@pytest.mark.usefixtures("directory", "served_files")
def test_urls_are_renewed_and_end_soon(alice: ApiUser, settings: Settings) -> None:
    settings.MEDIA_URL_TTL = 60
    export = finish(row(post(alice)))
    before = int(timezone.now().timestamp())
    url = alice.get(f"/me/exports/{export.pk}")["url"]
    assert before + 60 <= int(parse_qs(urlsplit(url).query)["expires"][0]) <= timezone.now().timestamp() + 60


@pytest.mark.usefixtures("directory", "served_files")
def test_download_needs_its_own_signature(alice: ApiUser) -> None:
    export = finish(row(post(alice)))
    other = finish(row(post(ApiUser())))
    url = alice.get(f"/me/exports/{export.pk}")["url"]
    bare, _, query = url.partition("?")
    for wrong in (
        "",
        query.replace("instafeed-export", "evil"),
        query.replace("expires=", "expires=1"),
        query[:-1],
        query.partition("&")[2],
        "filename=a%0d%0ab&expires=99999999999&signature=%C3%A9",
    ):
        assert download(f"{bare}?{wrong}")[0] == 403, wrong
    assert download(f"{bare.replace(export.path, other.path)}?{query}")[0] == 403
    assert download(f"{bare.replace('.zip', '.part')}?{query}")[0] == 404


@pytest.mark.usefixtures("bucket")
def test_url_of_s3_is_presigned_until_the_expiry(alice: ApiUser, s3_endpoint: str) -> None:
    kept_original(alice.user, 5_000)
    export = finish(row(post(alice)))
    ends = timezone.now() + timedelta(seconds=100)
    Export.objects.update(expires_at=ends)
    url = alice.get(f"/me/exports/{export.pk}")["url"]
    response = httpx.get(url, trust_env=False, timeout=60)
    assert (response.status_code, len(response.content)) == (200, export.size)
    assert response.headers["Content-Type"] == "application/zip"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="instafeed-export-')
    assert is_valid_presigned_url(url, "test-secret", ends - timedelta(seconds=3))
    assert not is_valid_presigned_url(url, "test-secret", ends + timedelta(seconds=1))


@pytest.mark.usefixtures("credentials")
def test_cdn_does_not_serve_exports(alice: ApiUser, use_bucket: UseStorage) -> None:
    """CloudFront reads no exports: the URL is the bucket's own."""
    use_bucket(endpoint_url=None, region_name="eu-central-1", addressing_style="virtual", cdn_domain="cdn.example.org")
    post(alice)
    Export.objects.update(state=JobState.DONE, expires_at=timezone.now() + timedelta(days=1))
    (ready,) = alice.get("/me/exports")["results"]
    assert urlsplit(ready["url"]).netloc == "media.s3.eu-central-1.amazonaws.com"
    assert is_valid_presigned_url(ready["url"], "test-secret", timezone.now() + timedelta(seconds=5))


def test_begun_exports_are_throttled(alice: ApiUser, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"zip_export": "2/day"}
    for _ in range(2):
        export = post(alice)
        for _ in range(3):
            assert post(alice)["id"] == export["id"], "the same one is not counted again"
        finish(row(export))
    response = alice.call("post", "/me/exports")
    assert_error(response, 429, "throttled")
    assert int(response["Retry-After"]) > 3_600
    assert len(alice.get("/me/exports")["results"]) == 2


@pytest.mark.parametrize("size", [1, 5])
def test_list_takes_the_same_queries_for_any_size(alice: ApiUser, size: int) -> None:
    expires_at = timezone.now() + timedelta(days=1)
    for number in range(size):
        Export.objects.create(user=alice.user, path=f"exports/{number}", state=JobState.DEAD, expires_at=expires_at)
    alice.get("/me")  # caches the session
    with CaptureQueriesContext(connection) as queries:
        assert len(alice.get("/me/exports")["results"]) == size
    assert len(queries) == 2
