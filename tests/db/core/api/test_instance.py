"""GET /instance: what clients need to know before anyone signs in."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from instafeed import __version__
from tests.db.accounts.registration.registering import register
from tests.support.api_user import ApiUser

pytestmark = pytest.mark.django_db


def fetch(**headers: str) -> Any:
    response = Client().get("/api/v1/instance", headers=headers)
    assert response.status_code == 200
    return response


def test_default_instance() -> None:
    body = fetch().json()
    limits = body.pop("limits")
    assert body == {
        "name": "instafeed",
        "description": "",
        "version": __version__,
        "registration": "open",
        "captcha": "off",
        "minimum_age": 0,
        "features": ["mail"],
        "stream_url": "/api/v1/stream",
    }
    assert (limits["caption"], limits["media"], limits["media_bytes"]) == (2_200, 10, 20 * 2**20)


def test_instance_follows_the_settings(settings: Settings) -> None:
    settings.SITE_NAME, settings.INSTANCE_DESCRIPTION = "Harbour", "Pictures of ships."
    settings.REGISTRATION, settings.CAPTCHA, settings.MINIMUM_AGE = "approval", "altcha", 16
    settings.STREAM_URL = "https://stream.example.org/"
    settings.MAIL_ENABLED, settings.REQUIRE_VERIFIED_EMAIL, settings.MEDIA_MAX_BYTES = False, True, 7
    body = fetch().json()
    assert body["limits"].pop("media_bytes") == 7
    assert {name: value for name, value in body.items() if name not in ("limits", "version")} == {
        "name": "Harbour",
        "description": "Pictures of ships.",
        "registration": "approval",
        "captcha": "altcha",
        "minimum_age": 16,
        "features": ["email_required"],
        "stream_url": "https://stream.example.org/",
    }


def test_limits_are_those_that_apply() -> None:
    limits, user = fetch().json()["limits"], ApiUser()
    for field, method, path in (
        ("caption", "post", "/posts"),
        ("bio", "patch", "/me"),
        ("display_name", "patch", "/me"),
    ):
        accepted, refused = (user.call(method, path, {field: "x" * (limits[field] + more)}) for more in (0, 1))
        assert (accepted.status_code < 300, refused.status_code) == (True, 400), field
    post_id = user.create_post()
    for more, status in ((0, 201), (1, 400)):
        body = {"text": "x" * (limits["comment"] + more)}
        assert user.call("post", f"/posts/{post_id}/comments", body).status_code == status
    assert user.call("post", "/posts", {"media": ["1"] * (limits["media"] + 1)}).status_code == 400
    assert register(password="a1#x9?zz"[: limits["password"]]).status_code == 201
    assert register("ben", password="a1#x9?zz"[: limits["password"] - 1]).status_code == 400


def test_response_is_public_and_needs_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        response = fetch(authorization="Bearer nonsense")
    assert response["Cache-Control"] == "public, max-age=60"
    assert "Authorization" not in response.get("Vary", "")
    assert "RateLimit-Limit" not in response
