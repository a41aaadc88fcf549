"""Compressed JSON, where COMPRESS_RESPONSES is on."""

from __future__ import annotations

import gzip
from io import BytesIO

import pytest
from django.test import Client
from pytest_django import Settings

from instafeed.core.http.compression import MIN_COMPRESSED_SIZE
from media import storage
from tests.support.api_user import ApiUser
from tests.support.pictures import ready_media

pytestmark = [pytest.mark.django_db, pytest.mark.urls("instafeed.urls")]
GZIP = {"Accept-Encoding": "br;q=1.0, gzip;q=0.8"}


@pytest.fixture
def user(settings: Settings) -> ApiUser:
    """A user whose feed is large enough to be compressed."""
    settings.COMPRESS_RESPONSES = True
    user = ApiUser()
    for _ in range(4):
        user.create_post("hello " * 50)
    return user


def test_large_json_is_compressed_for_clients_that_accept_it(user: ApiUser) -> None:
    plain, compressed = user.call("get", "/feed"), user.call("get", "/feed", **GZIP)
    assert len(plain.content) > MIN_COMPRESSED_SIZE > len(compressed.content)
    assert "Content-Encoding" not in plain.headers
    assert compressed["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.content) == plain.content
    for response in (plain, compressed):
        assert int(response["Content-Length"]) == len(response.content)
        assert "Accept-Encoding" in response["Vary"]
        assert "Authorization" in response["Vary"]
        assert response["ETag"] == plain["ETag"]


@pytest.mark.parametrize("header", ["gzip;q=0", "identity, gzip; q=0.000"])
def test_client_that_refuses_gzip_gets_plain_json(user: ApiUser, header: str) -> None:
    response = user.call("get", "/feed", **{"Accept-Encoding": header})
    assert "Content-Encoding" not in response.headers
    assert "Accept-Encoding" in response["Vary"]
    assert len(response.json()["results"]) == 4


def test_small_weight_is_no_refusal(user: ApiUser) -> None:
    assert user.call("get", "/feed", **{"Accept-Encoding": "gzip;q=0.01"})["Content-Encoding"] == "gzip"


def test_tag_of_a_compressed_response_gives_304(user: ApiUser) -> None:
    tag = user.call("get", "/feed", **GZIP)["ETag"]
    response = user.call("get", "/feed", **GZIP, **{"If-None-Match": tag})
    assert (response.status_code, response.content) == (304, b"")
    assert "Content-Encoding" not in response.headers


def test_small_responses_and_errors_are_not_compressed(user: ApiUser) -> None:
    for path in ("/me", "/posts/1", "/feed?limit=1"):
        response = user.call("get", path, **GZIP)
        assert "Content-Encoding" not in response.headers
        response.json()


def test_export_is_compressed_while_it_is_streamed(user: ApiUser) -> None:
    response = user.call("get", "/me/export", **GZIP)
    assert response["Content-Encoding"] == "gzip"
    assert "Content-Length" not in response.headers
    assert b"hello" in gzip.decompress(response.getvalue())


def test_pictures_are_not_compressed(user: ApiUser) -> None:
    media = ready_media(user.user)
    path = f"{storage.variants_directory(media.key, is_public=True)}/150.webp"
    storage.save(path, BytesIO(b"0" * 5000), "image/webp")
    response = Client().get(storage.url(path), headers=GZIP)
    assert response.status_code == 200
    assert "Content-Encoding" not in response.headers
    assert len(b"".join(response)) == 5000


def test_nothing_is_compressed_by_default(settings: Settings) -> None:
    assert settings.COMPRESS_RESPONSES is False
    assert "Content-Encoding" not in Client().get("/schema", headers=GZIP).headers


def test_schema_is_compressed(user: ApiUser) -> None:
    response = Client().get("/schema", headers=GZIP)
    assert response["Content-Encoding"] == "gzip"
