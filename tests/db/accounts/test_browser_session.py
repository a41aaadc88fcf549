"""/auth/session: the refresh token in a cookie that scripts cannot read."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.api.browser_session import COOKIE_PATH, cookie_name
from tests.db.accounts.auth_client import is_token_accepted, refresh, start_session
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db
ORIGIN = "http://testserver"


class Browser:
    """Keeps cookies, and sends the Origin of the page that it shows."""

    def __init__(self, origin: str | None = ORIGIN) -> None:
        self.client = Client(headers={"origin": origin} if origin else {})

    def keep(self, token: str) -> ClientResponse:
        return self.client.put(COOKIE_PATH, {"refresh": token}, content_type="application/json")

    def resume(self) -> ClientResponse:
        return self.client.post(COOKIE_PATH)

    def end(self) -> ClientResponse:
        return self.client.delete(COOKIE_PATH)

    @property
    def cookie(self) -> str:
        return self.client.cookies[cookie_name()].value if cookie_name() in self.client.cookies else ""


def test_session_is_kept_and_resumed() -> None:
    browser, tokens = Browser(), start_session(UserFactory())
    kept = browser.keep(tokens.refresh)
    assert kept.status_code == 200
    assert kept.json().keys() == {"access"}, "scripts never see the refresh token"
    first = browser.cookie
    assert first != tokens.refresh
    resumed = browser.resume()
    assert is_token_accepted(resumed.json()["access"])
    assert browser.cookie not in ("", first)


@pytest.mark.parametrize("is_https", [True, False])
def test_cookie_is_for_this_path_only_and_hidden_from_scripts(settings: Settings, *, is_https: bool) -> None:
    settings.HTTPS_ONLY = is_https
    browser = Browser()
    browser.keep(start_session(UserFactory()).refresh)
    cookie = browser.client.cookies[cookie_name()]
    assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/api/v1/auth/session", "Lax", True)
    assert bool(cookie["secure"]) == is_https == cookie_name().startswith("__Secure-")
    assert cookie["max-age"] == 30 * 86_400


def test_two_tabs_that_resume_at_once_both_go_on() -> None:
    browser = Browser()
    browser.keep(start_session(UserFactory()).refresh)
    other_tab = Browser()
    other_tab.client.cookies[cookie_name()] = browser.cookie
    assert browser.resume().status_code == other_tab.resume().status_code == 200
    assert browser.cookie == other_tab.cookie


def test_without_a_session_there_is_no_token() -> None:
    browser = Browser()
    assert browser.resume().status_code == 204
    tokens = start_session(UserFactory())
    browser.keep(tokens.refresh)
    assert refresh(tokens.refresh).status_code == 200  # within the grace
    browser.client.cookies[cookie_name()] = "a.b.c"
    assert browser.resume().status_code == 204
    assert browser.cookie == "", "a session that has ended leaves no cookie"


def test_signing_out_ends_the_session() -> None:
    browser = Browser()
    access = browser.keep(start_session(UserFactory()).refresh).json()["access"]
    assert browser.end().status_code == 204
    assert not is_token_accepted(access)
    assert browser.cookie == ""
    assert browser.end().status_code == 204


def test_another_session_in_the_cookie_ends_the_first() -> None:
    browser = Browser()
    first = browser.keep(start_session(UserFactory()).refresh).json()["access"]
    tokens = start_session(UserFactory())
    second = browser.keep(tokens.refresh).json()["access"]
    assert (is_token_accepted(first), is_token_accepted(second)) == (False, True)
    assert browser.keep(tokens.refresh).status_code == 200, "sent again within the grace"
    assert is_token_accepted(second)
    browser.client.cookies[cookie_name()] = "a.b.c"
    assert browser.keep(start_session(UserFactory()).refresh).status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://testserver.evil.example"])
def test_pages_of_other_sites_are_refused(origin: str | None) -> None:
    tokens = start_session(UserFactory())
    browser = Browser(origin)
    for response in (browser.keep(tokens.refresh), browser.resume(), browser.end()):
        assert_error(response, 403, "wrong_origin")
    assert refresh(tokens.refresh).status_code == 200, "the token was not used"


def test_the_configured_origins_are_accepted(settings: Settings) -> None:
    settings.PUBLIC_URL = "https://public.example"
    assert Browser("https://public.example").resume().status_code == 204


@pytest.mark.parametrize("token", ["", "a.b.c", 7])
def test_a_token_that_is_none_is_refused(token: object) -> None:
    response = Browser().client.put(COOKIE_PATH, {"refresh": token}, content_type="application/json")
    assert response.status_code in (400, 401)
