"""The view that serves files of the local storage."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path

import pytest
from django.http import HttpResponseBase
from django.test import Client
from pytest_django import Settings

from media import storage
from media.storage.local import signatures

pytestmark = [pytest.mark.urls("tests.db.media.storage.urls"), pytest.mark.usefixtures("directory")]


def save_file(kind: str, name: str = "1080.webp", content: bytes = b"0123456789") -> str:
    path = f"{kind}/{storage.new_key()}/{name}"
    storage.save(path, BytesIO(content), "text/html")
    return path


def body(response: HttpResponseBase) -> bytes:
    """Return the content. A stream is closed at its end."""
    return b"".join(response)


@pytest.mark.parametrize(
    ("name", "content_type"), [("1080.webp", "image/webp"), ("1080.jpeg", "image/jpeg"), ("a.jpg", "image/jpeg")]
)
def test_public_file_has_fixed_headers(client: Client, name: str, content_type: str) -> None:
    response = client.get(storage.url(save_file("public", name, b"<script>")))
    assert response.status_code == 200
    assert body(response) == b"<script>"
    expected = {
        "Content-Type": content_type,
        "Content-Length": "8",
        "Cache-Control": "public, max-age=31536000, immutable",
        "Content-Disposition": "inline",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    assert {header: response[header] for header in expected} == expected
    assert not response.cookies


def test_avatar_is_public(client: Client) -> None:
    path = f"avatars/{storage.new_key()}.webp"
    storage.save(path, BytesIO(b"face"), "image/webp")
    assert body(client.get(storage.url(path))) == b"face"


def test_validators_and_ranges(client: Client) -> None:
    url = storage.url(save_file("public"))
    whole = client.get(url)
    body(whole)
    for header in ({"If-None-Match": whole["ETag"]}, {"If-Modified-Since": whole["Last-Modified"]}):
        answer = client.get(url, headers=header)
        assert (answer.status_code, body(answer)) == (304, b"")
        assert answer["Cache-Control"] == whole["Cache-Control"]
    part = client.get(url, headers={"Range": "bytes=2-5"})
    assert (part.status_code, body(part), part["Content-Range"]) == (206, b"2345", "bytes 2-5/10")
    assert client.get(url, headers={"Range": "bytes=50-"}).status_code == 416
    head = client.head(url)
    assert (head.status_code, head["Content-Length"], body(head)) == (200, "10", b"")


def test_only_get_and_head_are_allowed(client: Client) -> None:
    url = storage.url(save_file("public"))
    for method in (client.post, client.put, client.delete):
        answer = method(url)
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def test_private_file_requires_its_signature(client: Client) -> None:
    path = save_file("private")
    url = storage.url(path)
    answer = client.get(url)
    assert (answer.status_code, body(answer)) == (200, b"0123456789")
    assert answer["Cache-Control"] == "private, max-age=3600"
    bare, _, query = url.partition("?")
    other = storage.url(save_file("private")).partition("?")[2]
    for wrong in (
        "",
        other,
        query[:-1],
        query.replace("expires=", "expires=1"),
        query.replace("expires=", "expires=+"),
        query.partition("&")[0],
        query.partition("&")[2],
        "expires=&signature=",
        "expires=x&signature=%C3%A9",
        "expires=99999999999&signature=x",
    ):
        answer = client.get(f"{bare}?{wrong}")
        assert (answer.status_code, body(answer)) == (403, b"Forbidden.\n"), wrong


def test_one_signature_covers_all_files_of_a_picture(client: Client) -> None:
    path = save_file("private")
    storage.save(path.replace("1080", "640"), BytesIO(b"small"), "image/webp")
    urls = storage.signed_urls(path.split("/")[1], ["1080.webp", "640.webp"])
    assert [body(client.get(url)) for url in urls] == [b"0123456789", b"small"]
    assert len({url.partition("?")[2] for url in urls}) == 1


def test_signed_url_expires(client: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    url = storage.url(save_file("private"))
    now = signatures.time.time()

    class Later:
        ahead = 0.0

        def time(self) -> float:
            return now + self.ahead

    later = Later()
    monkeypatch.setattr(signatures, "time", later)
    for ahead, status in ((0, 200), (3600, 200), (7201, 403)):
        later.ahead = ahead
        answer = client.get(url)
        body(answer)
        assert answer.status_code == status


def test_missing_private_file_looks_like_an_unsigned_one(client: Client) -> None:
    missing = f"private/{storage.new_key()}/1080.webp"
    assert client.get(f"/files/{missing}").status_code == 403
    assert client.get(storage.url(missing)).status_code == 404
    assert client.get(f"/files/public/{storage.new_key()}/1080.webp").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "",
        "..",
        "../x",
        "%2e%2e/x",
        "../../../etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "public/../secret.webp",
        "public/{key}/../../secret.webp",
        "public/{key}/..%5c..%5csecret.webp",
        "//secret.webp",
        "secret.webp",
        "public",
        "public/",
        "public/{key}",
        "public/{key}/",
        "public/{key}/%00.webp",
        "public/{key}/x%0a.webp",
        "public/{key}/page.html",
        "incoming/{key}",
        "public/{key}/folder.webp",
    ],
)
def test_nothing_else_is_served_or_logged(
    client: Client, directory: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = storage.new_key()
    storage.save(f"incoming/{key}", BytesIO(b"secret"), "image/webp")
    (directory / "secret.webp").write_bytes(b"secret")
    (directory / "public" / key / "folder.webp").mkdir(parents=True)
    (directory / "public" / key / "page.html").write_bytes(b"secret")
    with caplog.at_level(logging.ERROR):
        answer = client.get(f"/files/{path.format(key=key)}")
    assert answer.status_code == 404
    assert b"secret" not in body(answer)
    assert not caplog.records
