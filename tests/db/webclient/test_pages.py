"""The document of the web client, its previews, manifest and service worker."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from instafeed.core.storage_settings import upload_origins
from instafeed.webclient.urls import CLIENT_PATHS
from posts import services
from tests.db.core.http.test_security_headers import INLINE, policy
from tests.support.client_response import ClientResponse
from tests.support.factories import UserFactory
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db


def open_page(path: str) -> ClientResponse:
    response = Client().get(path)
    assert response.status_code == 200
    return response


def preview(path: str) -> dict[str, str]:
    """Return the properties of the page's preview."""
    text = open_page(path).content.decode()
    return {name: html.unescape(value) for name, value in re.findall(r'property="(og:[^"]+)" content="([^"]*)"', text)}


def test_every_path_of_the_client_has_its_document() -> None:
    bodies = {
        open_page("/" + re.sub(r"<\w+:(\w+)>", "x", path)).content for path in CLIENT_PATHS if "settings/" not in path
    }
    assert len(bodies) == 1


BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_browser_at_an_unknown_address_gets_the_client() -> None:
    response = Client().get("/nowhere/at/all", headers=BROWSER)
    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert '<div id="app">' in response.content.decode()
    assert policy(response)["script-src"] == ["'self'"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "content_type"),
    [
        ("get", "/nowhere", {}, "text/plain; charset=utf-8"),
        ("post", "/nowhere", BROWSER, "text/plain; charset=utf-8"),
        ("get", "/admin/nowhere/", BROWSER, "text/plain; charset=utf-8"),
        ("get", "/api/v1/nowhere", BROWSER, "application/json"),
    ],
)
def test_others_get_the_plain_error(method: str, path: str, headers: dict[str, str], content_type: str) -> None:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    response = getattr(client, method)(path, headers=headers)
    assert (response.status_code, response["Content-Type"]) == (404, content_type)


def test_document_complies_with_a_strict_policy() -> None:
    response = open_page("/")
    assert INLINE.findall(response.content.decode()) == []
    policies = policy(response)
    assert policies["script-src"] == policies["style-src"] == policies["manifest-src"] == ["'self'"]
    assert policies["img-src"] == ["'self'", "data:", "blob:"]
    assert policies["connect-src"] == ["'self'", *upload_origins()]
    assert response["Cache-Control"] == "no-cache"


def test_post_has_a_preview() -> None:
    author = UserFactory(username="ada", display_name="Ada <b>")
    media = ready_media(author, alt_text="waves")
    post = services.create_post(author.pk, 'A "walk" by the sea ' * 30, [media.pk])
    shown = preview(f"/p/{post.pk}")
    assert (shown["og:title"], shown["og:type"]) == ("Ada <b> (@ada)", "article")
    assert shown["og:description"].startswith('A "walk" by the sea')
    assert len(shown["og:description"]) == 200
    assert shown["og:image"]
    assert shown["og:image:alt"] == "waves"
    assert shown["og:url"] == f"http://testserver/p/{post.pk}"


def test_profile_has_a_preview() -> None:
    UserFactory(username="ada", display_name="", bio="Pictures of ships.")
    shown = preview("/@Ada")
    assert (shown["og:title"], shown["og:description"]) == ("ada (@ada)", "Pictures of ships.")


def test_what_visitors_may_not_see_has_no_preview() -> None:
    private = services.create_post(UserFactory(is_private=True).pk, "private")
    hidden = services.create_post(UserFactory().pk, "hidden")
    type(hidden).objects.filter(pk=hidden.pk).update(hidden_at=timezone.now())
    suspended = UserFactory(is_active=False)
    nothing = open_page("/p/1").content
    for post_id in (private.pk, hidden.pk, 2**63, "x" * 300, "0"):
        assert open_page(f"/p/{post_id}").content == nothing
    assert open_page(f"/@{suspended.username}").content == open_page("/@unknown.user").content == nothing


def test_clients_that_read_too_much_get_no_previews(settings: Settings) -> None:
    settings.THROTTLES = {**settings.THROTTLES, "anon": "2/hour"}
    post = services.create_post(UserFactory().pk, "a caption")
    assert [bool(preview(f"/p/{post.pk}")) for _ in range(3)] == [True, True, False]


def test_manifest_makes_the_client_installable() -> None:
    response = open_page("/manifest.webmanifest")
    assert response["Content-Type"] == "application/manifest+json"
    content = json.loads(response.content)
    assert {"name", "start_url", "display", "icons"} <= content.keys()
    for icon in content["icons"]:
        assert finders.find(icon["src"].removeprefix("/static/"))


def test_service_worker_knows_the_files_of_the_client() -> None:
    response = open_page("/service-worker.js")
    assert response["Content-Type"] == "text/javascript"
    assert response["Cache-Control"] == "no-cache", "an old one would keep an old client alive"
    files = json.loads(re.findall(r"^const FILES = (.*);$", response.content.decode(), re.MULTILINE)[0])
    document = open_page("/").content.decode()
    assert set(re.findall(r'(?:src|href)="(/static/[^"]+)"', document)) - set(files) == {
        "/static/webclient/icon-192.png"
    }
