"""The admin and /docs in a real browser comply with the Content-Security-Policy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as current
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from instafeed.backoffice.dashboard.panels import METRIC_NAMES
from instafeed.backoffice.models import Sample
from tests.db.feeds.feed_setup import create_posts
from tests.db.media.lifecycle import upload_and_process
from tests.support.staff import superuser_client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture
def staff(settings: Settings, tmp_path: Path) -> Client:
    """A superuser's client, with content on every page."""
    settings.MEDIA_ROOT = str(tmp_path)
    client = superuser_client()
    user = client.get("/admin/").context["user"]
    create_posts(user, 3)
    upload_and_process(user)
    now = timezone.now().replace(second=0, microsecond=0)
    for number in range(30):
        Sample.objects.create(at=now - timedelta(minutes=5 * number), metrics=dict.fromkeys(METRIC_NAMES, number))
    return client


@pytest.fixture
def violations() -> list[str]:
    return []


@pytest.fixture
def page(live_server: LiveServer, staff: Client, violations: list[str]) -> Iterator[Page]:
    """A signed-in page whose console errors go to `violations`.

    Django's database cannot be used from here on, as Playwright's event loop runs in this thread.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(base_url=live_server.url)
        name = current.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": staff.cookies[name].value, "url": live_server.url}])
        page = context.new_page()
        page.on("console", lambda message: violations.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: violations.append(str(error)))
        yield page
        browser.close()


def test_pages_cause_no_policy_violations(page: Page, violations: list[str]) -> None:
    for path in (
        "/admin/?span=week",
        "/admin/feeds/fanout/",
        "/admin/media/media/?status=ready",
        "/admin/accounts/user/",
    ):
        page.goto(path)
        if path.startswith("/admin/?"):
            assert page.locator(".chart svg path.line-1").first.bounding_box()
            continue
        page.check("#action-toggle")
        assert page.locator("#result_list tr.selected").count() >= 1, "the page's scripts work"
        page.locator("#result_list tbody a").first.click()
        page.wait_for_load_state()
    assert page.context.cookies()
    page.goto("/docs")
    page.locator(".opblock").first.click()
    page.locator("button.try-out__btn").first.wait_for()
    page.context.clear_cookies()
    page.goto("/admin/login/")
    assert violations == []


def test_inline_content_is_blocked_and_reported(page: Page, violations: list[str]) -> None:
    page.goto("/admin/")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.broken = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>x</p>");
    }""")
    assert page.evaluate("window.broken") is None
    assert len([text for text in violations if "Content Security Policy" in text]) == 2
