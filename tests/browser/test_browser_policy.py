"""The admin and /docs in a real browser comply with the Content-Security-Policy."""

from __future__ import annotations

from functools import partial

import pytest
from playwright.sync_api import Page

from tests.browser.staff_users import StaffUser
from tests.support.eventually import eventually

pytestmark = pytest.mark.usefixtures("samples")


def test_pages_cause_no_policy_violations(page: Page, staff: dict[str, StaffUser], console_errors: list[str]) -> None:
    staff["admin"].sign_in(page)
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
        with page.expect_navigation():
            page.locator("#result_list tbody a").first.click()
    assert page.context.cookies()
    page.goto("/docs")
    page.locator(".opblock").first.click()
    page.locator("button.try-out__btn").first.wait_for()
    page.context.clear_cookies()
    page.goto("/admin/login/")
    assert console_errors == []


def test_inline_content_is_blocked_and_reported(
    page: Page, staff: dict[str, StaffUser], console_errors: list[str]
) -> None:
    staff["admin"].sign_in(page)
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.broken = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>x</p>");
    }""")
    assert page.evaluate("window.broken") is None
    refused = partial(filter, lambda text: "Content Security Policy" in text, console_errors)
    eventually(lambda: page.evaluate("true") and len(list(refused())) >= 2)  # the evaluation handles what was reported
    assert len(list(refused())) == 2
    console_errors.clear()
