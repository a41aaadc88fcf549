"""Content-Security-Policy and other security headers, and that our pages comply with them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from instafeed.core import storage_settings
from instafeed.core.http import security_headers
from media import storage
from media.storage.s3 import BucketStorage
from tests.support.client_response import ClientResponse
from tests.support.pictures import ready_media
from tests.support.staff import superuser_client

# Everything that 'self' alone does not allow.
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", re.IGNORECASE)
EVERYWHERE = ("/admin/login/", "/docs", "/docs?script=", "/schema", "/health/live", "/api/v1/feed", "/nowhere")
ADMIN = (
    *("/admin/", "/admin/?span=week", "/admin/password_change/", "/admin/auth/group/", "/admin/auth/group/1/change/"),
    *("/admin/feeds/fanout/?q=x&state=open", "/admin/media/media/", "/admin/accounts/user/"),
)


def policy(response: ClientResponse) -> dict[str, list[str]]:
    header = response["Content-Security-Policy"]
    return {name: values for name, *values in (part.split() for part in header.split(";"))}


@pytest.mark.django_db
@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_response_forbids_inline_and_foreign_content(path: str) -> None:
    response = Client().get(path)
    policies = policy(response)
    assert policies["default-src"] == policies["frame-ancestors"] == policies["base-uri"] == ["'none'"]
    assert (
        policies["script-src"]
        == policies["style-src"]
        == policies["connect-src"]
        == policies["form-action"]
        == ["'self'"]
    )
    assert policies["img-src"] == ["'self'", "data:"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert "camera=()" in response["Permissions-Policy"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*ADMIN, "/admin/login/", "/docs"])
def test_pages_have_no_inline_content(path: str) -> None:
    client = superuser_client() if path in ADMIN else Client()
    response = client.get(path)
    assert response.status_code == 200
    assert INLINE.findall(response.content.decode()) == []
    sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', response.content.decode())
    assert sources
    assert [url for url in sources if urlsplit(url).netloc] == []


@pytest.mark.django_db
def test_csrf_failure_is_plain_text() -> None:
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "x", "password": "x"})
    assert (response.status_code, response["Content-Type"]) == (403, "text/plain; charset=utf-8")
    assert b"reload" in response.content


@pytest.mark.django_db
def test_docs_page_loads_its_script_separately() -> None:
    page = Client().get("/docs").content.decode()
    script = Client().get("/docs?script=")
    assert 'src="/docs?script="' in page
    assert script["Content-Type"].startswith("application/javascript")
    assert "SwaggerUIBundle" in script.content.decode()


def test_policy_allows_the_origins_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage_settings.public_origins() == []
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x" * 20)
    monkeypatch.setenv("AWS_STORAGE_BUCKET_NAME", "pictures")
    for more in (
        {"AWS_S3_REGION_NAME": "us-east-1"},
        {"AWS_S3_REGION_NAME": "eu-central-1"},
        {"AWS_S3_REGION_NAME": "eu-central-1", "AWS_S3_ADDRESSING_STYLE": "path"},
        {"AWS_S3_ENDPOINT_URL": "http://minio.example.org:9000"},
        {"AWS_S3_ENDPOINT_URL": "https://minio.example.org", "AWS_S3_ADDRESSING_STYLE": "virtual"},
        {"AWS_S3_REGION_NAME": "eu-central-1", "MEDIA_CDN_DOMAIN": "media.example.org"},
    ):
        with monkeypatch.context() as environment:
            for name, value in more.items():
                environment.setenv(name, value)
            backend = BucketStorage(**storage_settings.default_storage()["OPTIONS"])
            key = storage.new_key()
            urls = [backend.url(f"{place}/{key}/150.webp") for place in ("public", "private")]
            origins = {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in urls}
            allowed = storage_settings.public_origins()
        assert origins <= set(allowed), more
        assert security_headers.content_security_policy(allowed, "")["DIRECTIVES"]["img-src"][2:] == allowed


@pytest.mark.django_db
def test_staff_see_a_withheld_picture_with_a_signed_url(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    client = superuser_client()
    media = ready_media(client.get("/admin/").context["user"])
    type(media).objects.filter(pk=media.pk).update(is_withheld=True)
    page = client.get(f"/admin/media/media/{media.pk}/change/").content.decode()
    (url,) = re.findall(r'<img class="picture" src="([^"]+)"', page)
    assert client.get(url.replace("&amp;", "&")).status_code == 200
